"""`aks-entra approvals setup --create`, in this process, against the sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aks_entra.errors import Refused
from tests.contract.command_line import serving, typed
from tests.contract.small_world import RICH, TENANT, WORLD, Opener

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path, RICH)


def test_an_application_that_exists_is_shown_with_its_owners_and_not_made_again() -> None:
    asked = typed("approvals", "setup", "--create")
    assert (asked.exit_code, "--yes" in asked.stderr) == (2, True)
    made = typed("approvals", "setup", "--create", "--yes")
    assert made.exit_code == 0, made.output
    assert f"tenant_id: {TENANT}" in made.stdout
    (client,) = re.findall(r"client_id: (\S+)", made.stdout)
    assert f"az ad app permission grant --id {client}" in made.stderr
    again = typed("approvals", "setup", "--create")
    assert again.exit_code == 0, again.output
    assert f"({client}) exists already; its owners: nobody" in again.stderr
    assert f"client_id: {client}" in again.stdout


@pytest.mark.parametrize("box", [{"world": WORLD}], indirect=True)
async def test_who_may_not_register_applications_is_told_what_is_missing(opened: Opener) -> None:
    async with opened() as session:
        port = session.access.applications
        assert port is not None
        with pytest.raises(Refused, match="register the application") as refused:
            await port.make("approvals")
        assert "Application.ReadWrite.All" in refused.value.remedy
