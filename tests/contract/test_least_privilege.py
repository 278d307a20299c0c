"""Each runbook does its work with the Graph permissions that are listed for it; without any one, it says which."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aks_entra import access_review, granting
from aks_entra.core.conditional_access import Control
from aks_entra.core.grants import Approval, Level
from aks_entra.core.pim import ActivationPolicy, Kind
from aks_entra.errors import Refused
from aks_entra.policies import PolicyRequest
from aks_entra.wiring import Session

from .conftest import READER, Opener, cluster
from .test_access import UNLOCKED, granter
from .test_just_in_time import DANA, jit, rules

LISTED: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[2] / "deployments" / "roles" / "graph-permissions.json").read_text()
)["flows"]


async def grant(session: Session) -> None:
    what = (READER["appId"], Level.READER, "default", None)
    place = cluster("azure-rbac", "pay-weu")
    length = timedelta(hours=1)
    for to in (READER["appId"], DANA, "aks-admins"):
        ask = await granting.ask_for(session.ports, session.access, place, (to, *what[1:]), length, "CHG-1")
        given = await granter(session).give(ask, Approval(digest=ask.digest, approver="erin"))
        await granter(session).end(given.grant)


async def review(session: Session) -> None:
    posture = await session.ports.arm.cluster(cluster("guarded"))
    found = await access_review.review(session.ports, session.access, posture)
    if any("unknown" in one.who for one in found) or not any("dana" in one.who for one in found):
        raise Refused("something could not be read", remedy="grant what is listed")
    await session.access.pim.memberships(group_id=posture.admin_group_ids[0])


async def make_group(session: Session) -> None:
    await jit(session).create_group("jit", "jit", "", (DANA,), ActivationPolicy())


async def assign(session: Session) -> None:
    for kind, who in ((Kind.ELIGIBLE, DANA), (Kind.ACTIVE, READER["id"])):
        await jit(session).assign("aks-admins", who, kind, timedelta(days=1), "on call")


async def apply(session: Session) -> None:
    request = PolicyRequest(name="aks", groups=("aks-admins",), controls=(Control.MFA,), break_glass=(DANA,))
    await rules(session).apply(request, enforce=False)


WORK: dict[str, Callable[[Session], Awaitable[None]]] = {
    "grant-access": grant,
    "review-access": review,
    "create-group": make_group,
    "assign-membership": assign,
    "apply-conditional-access": apply,
}


def world(permissions: list[str]) -> dict[str, Any]:
    return {"world": UNLOCKED.replace("Group.ReadWrite.All, Directory.Read.All", ", ".join(permissions))}


ENOUGH = [pytest.param(world(LISTED[name]), name, id=name) for name in WORK]
LESS = [
    pytest.param(world([one for one in LISTED[name] if one != taken]), name, taken, id=f"{name} without {taken}")
    for name in WORK
    for taken in LISTED[name]
]


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("box", "name"), ENOUGH, indirect=["box"])
async def test_what_is_listed_is_enough(opened: Opener, name: str) -> None:
    async with opened() as session:
        await WORK[name](session)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("box", "name", "taken"), LESS, indirect=["box"])
async def test_without_any_one_of_them_it_is_refused_by_name(opened: Opener, name: str, taken: str) -> None:
    async with opened() as session:
        with pytest.raises(Refused) as refused:
            await WORK[name](session)
    if name != "review-access":  # there a row says so, and the run fails
        assert taken in refused.value.remedy, refused.value
