"""The app registration that signed approvals need."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from typer.testing import CliRunner

from aks_entra.cli import app
from aks_entra.cli.signing import by_application, to_sign
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.errors import Refused
from aks_entra.prefect_client import Gate
from tests.support.signed_approvals import GATE

assert GATE.approvers is not None
REQUEST = SignedRequest(subject="access request", text='{"role":"reader"}', approvers=GATE.approvers)
WAITING = Gate(run=UUID(int=1), run_name="able-fox", plan=REQUEST.digest, stage=0, moment="before", request=REQUEST)


def test_setup_prints_the_registration_of_a_public_client_whose_tokens_name_groups() -> None:
    shown = CliRunner().invoke(app, ["approvals", "setup", "--name", "dana's approvals"])
    assert shown.exit_code == 0
    assert "az ad app create --display-name 'dana'\\''s approvals' --sign-in-audience AzureADMyOrg" in shown.output
    assert "--public-client-redirect-uris http://localhost" in shown.output
    assert "groupMembershipClaims=SecurityGroup" in shown.output
    assert '--scope "openid profile"' in shown.output
    assert "secret" not in shown.output


async def test_a_form_that_shows_another_request_than_it_asks_about_is_not_signed() -> None:
    found = await to_sign(WAITING)
    assert found is not None
    assert found.asked == REQUEST.asked(str(WAITING.run))
    assert not found.ticket_required
    shown = replace(REQUEST, text='{"role":"reader","until":"never"}')
    empty = replace(REQUEST, text="[]")
    for gate in (replace(WAITING, request=shown), replace(WAITING, request=empty, plan=empty.digest)):
        with pytest.raises(Refused, match="run able-fox shows another request than it asks about"):
            await to_sign(gate)


async def test_one_sign_in_signs_for_one_application() -> None:
    one = await to_sign(WAITING)
    assert one is not None
    other = replace(one, approvers=replace(one.approvers, client_id="another"))
    assert by_application([one, other, one]) == ((one, one), (other,))
