"""A person's own sign-in over the wire, their activation and its decision, and the proof of its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from aks_entra.access_ports import PersonSpec
from aks_entra.adapters.person import PersonCredential
from aks_entra.core.pim import ActivationPolicy, Kind
from aks_entra.errors import Diverged, Refused, Rejected
from aks_entra.granting import Patience
from aks_entra.just_in_time import JustInTime
from aks_entra.membership_end import prove_end
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.server import Sandbox
from azure_sandbox.sign_in import sign_in

from .conftest import ADMINS, READER, Opener, cluster
from .test_just_in_time import DANA, RICH, jit, new_group

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
    """Somebody who enters whatever code they are shown."""
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
        yield JustInTime(ports=session.ports, access=session.access, patience=Patience(limit=5, every=0.01))


async def on_call(session: Session) -> str:
    """A group with an approval, and dana eligible for it."""
    pim = jit(session)
    erin = (await session.access.people.principal("erin@contoso.com")).id
    group_id = await new_group(session, ActivationPolicy(max_duration=timedelta(hours=2), approvers=(erin,)))
    await pim.assign(group_id, DANA, Kind.ELIGIBLE, timedelta(days=1), "on call")
    return group_id


@world
async def test_a_person_signs_in_once_for_everything_that_they_ask_at_the_same_time(signing: Signing) -> None:
    seen: list[str] = []
    enter = signing("dana").tell

    def tell(text: str) -> None:
        seen.append(text)
        enter(text)

    async with as_person(PersonSpec(client_id=TOOL, tell=tell)) as pim:
        callers, _ = await asyncio.gather(pim.ports.callers.runner(), pim.access.people.principal("aks-admins"))
        assert callers.name == DANA
        assert len(seen) == 1


@world
@pytest.mark.parametrize("approve", [True, False])
async def test_an_activation_is_followed_to_its_decision(opened: Opener, signing: Signing, *, approve: bool) -> None:
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
async def test_what_is_proven_of_an_end(opened: Opener) -> None:
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
async def test_a_log_that_may_not_be_read_is_said_with_the_bound(opened: Opener) -> None:
    async with opened() as session:
        found = await prove_end(jit(session), await new_group(session), DANA, ())
        assert "the sign-in log could not be read: grant AuditLog.Read.All" in found.tokens[0]


@world
@pytest.mark.usefixtures("box")
async def test_the_azure_clis_kind_of_client_is_refused_by_the_permission(opened: Opener, signing: Signing) -> None:
    cli = PersonSpec(client_id="04b07795-8ddb-461a-bbee-02f9e1bf7b46", tell=signing("dana").tell)
    async with opened() as session, as_person(cli) as dana:
        group_id = await on_call(session)
        with pytest.raises(Refused) as refused:
            await dana.activate(group_id, timedelta(hours=1), "INC-7")
        assert "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup" in refused.value.remedy
        assert "--client-id" in refused.value.remedy


def test_a_sign_in_that_cannot_be_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "not a tenant!")
    with pytest.raises(Refused, match="cannot be used"):
        PersonCredential(PersonSpec(client_id=TOOL, tell=print))


def test_a_browser_is_the_other_way() -> None:
    spec = PersonSpec(client_id=TOOL, tell=print, login="interactive", tenant_id=ADMINS)
    assert PersonCredential(spec) is not None
