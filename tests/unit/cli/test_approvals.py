"""The app registration that signed approvals need."""

from __future__ import annotations

from typer.testing import CliRunner

from aks_entra.cli import app


def test_setup_prints_the_registration_of_a_public_client_whose_tokens_name_groups() -> None:
    shown = CliRunner().invoke(app, ["approvals", "setup", "--name", "dana's approvals"])
    assert shown.exit_code == 0
    assert "az ad app create --display-name 'dana'\\''s approvals' --sign-in-audience AzureADMyOrg" in shown.output
    assert "--public-client-redirect-uris http://localhost" in shown.output
    assert "groupMembershipClaims=SecurityGroup" in shown.output
    assert '--scope "openid profile"' in shown.output
    assert "secret" not in shown.output
