"""azure-identity against the sandbox's Entra ID: operator, prover and errors."""

from __future__ import annotations

import pytest

from aks_entra.core.planning.fleet import ProverSpec
from aks_entra.errors import Refused
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, READER, TENANT, Opener


async def test_the_token_identifies_the_caller(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        runner, prover = await session.ports.callers.runner(), await session.ports.callers.prover()
    assert runner == prover
    assert runner.tenant_id == TENANT
    assert runner.object_id == box.operator.principal.id
    assert runner.name


async def test_a_fleet_file_can_name_another_prover(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVER_SECRET", "the-reader")
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="PROVER_SECRET")
    async with opened(spec) as session:
        assert (await session.ports.callers.prover()).object_id == READER["id"]
        assert (await session.ports.callers.runner()).object_id != READER["id"]


async def test_a_missing_secret_of_the_prover_is_named_by_its_variable(opened: Opener) -> None:
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="NOT_SET_ANYWHERE")
    async with opened(spec) as session:
        with pytest.raises(Refused, match="NOT_SET_ANYWHERE"):
            await session.ports.callers.prover()


async def test_a_wrong_secret_is_refused_with_entras_message(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "not-the-secret")
    async with opened() as session:
        for asking in (session.ports.callers.runner(), session.ports.arm.subscription_id("prod-eu")):
            with pytest.raises(Refused, match="Invalid client secret") as refused:
                await asking
            assert refused.value.code == "AADSTS7000215"
            assert "AZURE_CLIENT_SECRET" in refused.value.remedy
            assert "not-the-secret" not in str(refused.value)
        with pytest.raises(Refused) as refused:
            await session.ports.directory.group(ADMINS, prover="")
        assert refused.value.code == "AADSTS7000215"


async def test_without_credentials_the_error_says_how_to_sign_in(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    async with opened() as session:
        with pytest.raises(Refused, match="no Azure credential was found") as refused:
            await session.ports.callers.runner()
    assert "az login" in refused.value.remedy


async def test_an_unknown_tenant_is_refused(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "00000000-0000-4000-8000-000000000001")
    async with opened() as session:
        with pytest.raises(Refused, match="Microsoft Entra ID refused the sign-in") as refused:
            await session.ports.callers.runner()
    assert refused.value.code.startswith("AADSTS90")
