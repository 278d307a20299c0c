"""A user's sign-in over the wire, the activation and its approval, and the proof of its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from aks_entra.access.grants import Patience
from aks_entra.access.membership_end import prove_end
from aks_entra.access.pim import JustInTime
from aks_entra.adapters.identity.person import PersonCredential
from aks_entra.core.access.pim import ActivationPolicy, Kind
from aks_entra.errors import Diverged, Refused, Rejected
from aks_entra.ports.access import PersonSpec
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.cli.device_sign_in import sign_in
from azure_sandbox.server import Sandbox
from tests.contract.access_engines import jit, new_group
from tests.contract.small_world import ADMINS, DANA, READER, RICH, Opener, cluster

TOOL = "5c0f2a7e-8d31-4f6b-9a24-7e1b3c5d8f60"
WORLD = RICH.replace("users:\n", "users:\n  - {name: erin, upn: erin@contoso.com}\n").replace(
    "servicePrincipals:\n",
    "servicePrincipals:\n"
    f"  - {{name: pim-tool, appId: {TOOL}, publicClient: true, delegatedPermissions: [User.ReadBasic.All,\n"
    "      GroupMember.Read.All, PrivilegedEligibilitySchedule.Read.AzureADGroup,\n"
    "      PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup]}\n",
)
world = pytest.mark.parametrize("box", [{"world": WORLD}], indirect=True)
Signing = Callable[[str], PersonSpec]


@pytest.fixture
def signing(box: Sandbox) -> Signing:
    """Return a function that gives a user's sign-in; its device code is entered automatically."""
    port = int(box.environment["HTTPS_PROXY"].rpartition(":")[2])

    def spec(name: str) -> PersonSpec:
        return PersonSpec(client_id=TOOL, tell=lambda text: _enter(text, name, port))

    return spec


def _enter(text: str, name: str, port: int) -> None:
    assert text.startswith("To sign in, use a web browser to open the page https://microsoft.com/devicelogin")
    sign_in(text.rpartition(" ")[2], name, port)


@asynccontextmanager
async def as_person(spec: PersonSpec) -> AsyncIterator[JustInTime]:
    async with open_session(Settings(look_interval=0.02), person=spec) as session:
        yield JustInTime(ports=session.ports, access=session.access, patience=Patience(timeout=5, poll_interval=0.01))


async def on_call(session: Session) -> str:
    """Create a group that needs an approval, with dana as an eligible member."""
    pim = jit(session)
    erin = (await session.ports.directory.principal("erin@contoso.com")).id
    group_id = await new_group(session, ActivationPolicy(max_duration=timedelta(hours=2), approvers=(erin,)))
    await pim.assign(group_id, DANA, Kind.ELIGIBLE, timedelta(days=1), "on call")
    return group_id


@world
async def test_concurrent_requests_of_a_user_need_one_sign_in(signing: Signing) -> None:
    seen: list[str] = []
    enter = signing("dana").tell

    def tell(text: str) -> None:
        seen.append(text)
        enter(text)

    async with as_person(PersonSpec(client_id=TOOL, tell=tell)) as pim:
        callers, _ = await asyncio.gather(pim.ports.callers.runner(), pim.ports.directory.principal("aks-admins"))
        assert callers.name == DANA
        assert len(seen) == 1


@world
@pytest.mark.parametrize("approve", [True, False])
async def test_an_activation_is_followed_until_its_approval_or_denial(
    opened: Opener, signing: Signing, *, approve: bool
) -> None:
    async with opened() as session, as_person(signing("dana")) as dana, as_person(signing("erin")) as erin:
        group_id = await on_call(session)
        made = await dana.activate(group_id, timedelta(hours=1), "INC-7")
        assert made.waits
        following = asyncio.ensure_future(dana.decided(made))
        (waiting,) = await erin.access.pim.waiting()
        with pytest.raises(Refused, match="does not wait for you"):
            await dana.access.pim.decide(waiting.approval_id, approve=True, reason="mine")
        await erin.access.pim.decide(waiting.approval_id, approve=approve, reason="as it should be")
        if not approve:
            with pytest.raises(Rejected, match="ended Denied"):
                await following
            return
        assert (await following).status == "Provisioned"
        with pytest.raises(Diverged, match="still shows the membership"):
            await prove_end(jit(session), group_id, DANA, ())


@world
async def test_the_end_of_a_membership_is_proven_or_bounded(opened: Opener) -> None:
    guarded = cluster("guarded")
    async with opened() as session:
        pim = jit(session)
        group_id = await new_group(session)
        left = await prove_end(pim, group_id, "left@contoso.com", (guarded,))
        assert not left.refused  # left@contoso.com is in another admin group of that cluster
        assert left.clusters[0].still_allowed.startswith("everything at the cluster scope: ")
        machine = await prove_end(pim, group_id, READER["id"], (guarded,))
        assert machine.refused
        assert "refuses a new token (list nodes at the cluster scope)" in machine.clusters[0].proof
        assert "not in the log" in machine.tokens[0]
        dana = await prove_end(pim, group_id, DANA, ())
        assert dana.tokens[-1].startswith(f"{DANA}: a token from before may be accepted until ")


BLIND = WORLD.replace(", AuditLog.Read.All", "")


@pytest.mark.parametrize("box", [{"world": BLIND}], indirect=True)
async def test_without_the_sign_in_log_the_end_is_stated_with_its_bound(opened: Opener) -> None:
    async with opened() as session:
        found = await prove_end(jit(session), await new_group(session), DANA, ())
        assert "the sign-in log could not be read: grant AuditLog.Read.All" in found.tokens[0]


@world
@pytest.mark.usefixtures("box")
async def test_the_azure_clis_client_is_refused_with_the_missing_permission(opened: Opener, signing: Signing) -> None:
    cli = PersonSpec(client_id="04b07795-8ddb-461a-bbee-02f9e1bf7b46", tell=signing("dana").tell)
    async with opened() as session, as_person(cli) as dana:
        group_id = await on_call(session)
        with pytest.raises(Refused) as refused:
            await dana.activate(group_id, timedelta(hours=1), "INC-7")
        assert "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup" in refused.value.remedy
        assert "--client-id" in refused.value.remedy


def test_an_impossible_sign_in_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "not a tenant!")
    with pytest.raises(Refused, match="cannot be used"):
        PersonCredential(PersonSpec(client_id=TOOL, tell=print))


def test_a_browser_sign_in_is_supported() -> None:
    spec = PersonSpec(client_id=TOOL, tell=print, login="interactive", tenant_id=ADMINS)
    assert PersonCredential(spec) is not None
