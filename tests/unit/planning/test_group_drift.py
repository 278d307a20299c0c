"""Groups that a fleet file declares and that exist already: never changed, and never silently otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from aks_entra.core.evidence.observations import GroupSeen
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.group_drift import GroupContents, Holder, drift
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.preflight import GroupFacts
from aks_entra.core.target import GroupTarget
from aks_entra.core.verdict.verdict import Outcome, judge
from aks_entra.errors import Refused, Rejected
from aks_entra.planning.group_drift import groups_seen, of_cluster
from aks_entra.planning.inventory import Row, inventory
from aks_entra.planning.planner import plan_fleet
from aks_entra.planning.selection import Selection
from aks_entra.report import inventory_view as view
from aks_entra.report.evidence_lines import line_of
from aks_entra.report.inventory_text import render
from tests.support.cases import NOW
from tests.support.memory_fleets import fleet_world
from tests.support.memory_model import ADMINS, PROVER, SUBSCRIPTION, Group
from tests.support.memory_ports import World

DANA, OLIVE = Holder(id="1", names=("dana@contoso.com",)), Holder(id="2", names=("olive@contoso.com",))
NAMELESS = Holder(id="3", named=False)
DECLARED = GroupTarget(
    display_name="admins",
    id=ADMINS,
    unique_name="aks-entra-admins",
    description="opens clusters",
    members=("DANA@contoso.com",),
    owners=("olive@contoso.com",),
)
THERE = GroupContents(
    id=ADMINS, display_name="admins", description="opens clusters", owners=(OLIVE,), members=(DANA, OLIVE)
)
WANTED = WantedGroup(name="admins", create=True, unique_name="aks-entra-admins", members=("dana",))


@pytest.mark.parametrize(
    ("change", "differs", "unknown"),
    [
        ({}, (), ()),
        ({"display_name": "Admins"}, ("it is called 'Admins' now",), ()),
        ({"description": "other"}, ("its description is 'other'",), ()),
        ({"description": ""}, ("its description is gone",), ()),
        ({"security_enabled": False}, ("it is not security-enabled: its members get no access",), ()),
        ({"owners": (DANA,)}, ("owner olive@contoso.com is missing",), ()),
        ({"owners": ()}, ("owner olive@contoso.com is missing",), ()),
        ({"members": (OLIVE,)}, ("member DANA@contoso.com is missing",), ()),
        ({"members": None}, (), ("its members could not be read",)),
        (
            {"members": (NAMELESS,)},
            (),
            ("member DANA@contoso.com may be missing: names could not be read",),
        ),
        ({"deleted_on": "2026-11-02T08:00:00Z"}, ("it was deleted on 2026-11-02",), ()),
        ({"exists": False}, ("it is not there",), ()),
    ],
)
def test_each_way_to_be_otherwise_is_said_and_what_cannot_be_read_is_not_known(
    change: dict[str, object], differs: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    found = drift(DECLARED, replace(THERE, **change))  # type: ignore[arg-type]  # a test's own table
    assert (found.differs, found.unknown) == (differs, unknown)


def test_who_came_beside_is_no_drift_and_what_is_not_declared_is_not_compared() -> None:
    assert drift(DECLARED, THERE).additional == ("1 member",)
    assert drift(DECLARED, replace(THERE, members=(DANA, OLIVE, NAMELESS))).additional == ("2 members",)
    nothing = GroupTarget(display_name="admins", id=ADMINS, unique_name="k")
    assert drift(nothing, replace(THERE, owners=None, description="any")).differs == ()
    assert drift(DECLARED, None).unknown == ("the group could not be read",)


def declared_world(**how: object) -> World:
    world = fleet_world(2)
    whole: dict[str, object] = {"name": "admins", "unique_name": "aks-entra-admins", "members": {PROVER, "dana"}, **how}
    world.groups[ADMINS] = Group(id=ADMINS, **whole)  # type: ignore[arg-type]  # a test's own table
    return world


async def planned(world: World, wanted: WantedGroup = WANTED) -> FleetPlan:
    selector = Selector(subscription=SUBSCRIPTION)
    fleet = Fleet(name="prod", selectors=(selector,), target=WantedTarget(admin_groups=(wanted,)))
    return await plan_fleet(world.process().ports, fleet, ())


async def test_a_plan_says_what_drifted_once_for_the_fleet_and_changes_nothing() -> None:
    world = declared_world(name="Administrators", members={PROVER})
    plan = await planned(world)
    for one in plan.clusters:
        said = {finding.rule: finding.message for finding in one.findings}
        assert "it is called 'Administrators' now; member dana is missing" in said["W150"]
        assert "also has 1 member that the fleet file does not declare" in said["I150"]
    assert world.calls.count("directory.contents") == 1
    assert not world.writes

    world.faults["directory.contents"] = [Rejected("no", status=400)]
    assert "U150" in {finding.rule for finding in (await planned(world)).clusters[0].findings}
    assert "W150" not in {finding.rule for finding in (await planned(declared_world())).clusters[0].findings}


async def test_a_deleted_group_is_not_silently_born_again() -> None:
    world = declared_world(unique_name=None)
    world.groups[ADMINS].deleted_on = "2026-11-02T08:00:00Z"
    wanted = replace(WANTED, members=("dana@contoso.com",))
    found = {finding.rule: finding for finding in (await planned(world, wanted)).clusters[0].findings}
    assert "was deleted on 2026-11-02: the plan creates a new one" in found["W151"].message
    other = {finding.rule for finding in (await planned(world, replace(wanted, name="other"))).clusters[0].findings}
    assert "W151" not in other


async def test_a_namesake_is_refused_and_one_that_was_just_not_seen_is_taken() -> None:
    world = declared_world(unique_name="another")
    with pytest.raises(Refused, match=r"`admin_groups\[0\]\.name`: another group is already called 'admins'"):
        await planned(world)

    late = declared_world(unique_name=None)

    def seen() -> None:
        if late.calls[-1] == "directory.groups_named":
            late.groups[ADMINS].unique_name = "aks-entra-admins"

    late.observers.append(seen)
    plan = await planned(late)
    assert plan.clusters[0].target.admin_groups[0].id == ADMINS


async def test_a_verification_tells_it_for_the_fleet_file_and_for_a_plan_from_before_the_group() -> None:
    world = declared_world(members={PROVER})
    plan = await planned(world)
    seen = await groups_seen(world.process().ports, plan)
    assert [one.differs for one in seen.values()] == [("member dana is missing",)]
    verdict = judge(plan.clusters[0], of_cluster(plan.clusters[0], seen))
    assert "admin group admins: member dana is missing" in verdict.because
    assert verdict.outcome is Outcome.NOT_VERIFIED
    mended = judge(plan.clusters[0], (*seen.values(), *(replace(one, differs=()) for one in seen.values())))
    assert "admin group admins as declared" in mended.because

    early = fleet_world(1)
    before = await planned(early, replace(WANTED, members=("dana@contoso.com",)))
    (missing,) = (await groups_seen(early.process().ports, before)).values()
    assert missing.differs == ("it is not there",)
    early.groups["g"] = Group(id="g", name="admins", unique_name="aks-entra-admins", members=set(early.users.values()))
    (there,) = (await groups_seen(early.process().ports, before)).values()
    assert (there.differs, there.unknown) == ((), ())


async def test_an_inventory_of_a_fleet_file_shows_it() -> None:
    world = declared_world(members={PROVER})
    everywhere = (Selector(subscription=SUBSCRIPTION),)

    async def rows(*wanted: WantedGroup) -> tuple[Row, ...]:
        return await inventory(
            world.process().ports, Selection(selectors=everywhere), probe=False, read=False, records=(), declared=wanted
        )

    found = await rows(WANTED, WantedGroup(name="other", create=True, unique_name="nowhere"))
    assert [one.differs for one in found[0].drifts] == [("member dana is missing",)]
    assert "not as declared!" in view.groups(found[0])
    console = Console(width=200)
    with console.capture() as printed:
        console.print(*render(found))
    assert printed.get().count("⚠ admin group admins: member dana is missing") == 1
    assert view.document(found)["clusters"][0]["drifts"][0]["differs"] == ("member dana is missing",)
    assert (await rows())[0].drifts == ()
    unread = GroupFacts(id=ADMINS, display_name="admins")
    row = Row(
        posture=found[0].posture,
        old_credentials=OldCredentials(debt=Debt.ALIVE, because="on"),
        groups=(unread,),
        drifts=found[0].drifts,
    )
    assert view.groups(row) == "admins (members unread, not as declared!)"


def test_the_evidence_reads_as_a_line() -> None:
    seen = GroupSeen(at=NOW, group=ADMINS, display_name="admins", differs=("member dana is missing",))
    assert line_of(seen).detail == f"admins ({ADMINS}): member dana is missing"
    assert line_of(replace(seen, differs=())).detail.endswith("as declared")
