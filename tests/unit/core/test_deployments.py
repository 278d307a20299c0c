"""What changes between the deployments that a fleet file asks for and those that are there."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.deployments import Automation, Change, ChangeKind, Deployment, Difference, changes, summary

MIGRATE = Deployment(flow="migrate-fleet", name="prod", fleet="{}", pool="aks-entra", queue="default", tags=("a", "b"))
VERIFY = replace(MIGRATE, flow="verify-fleet", schedule="15 4 * * * UTC")


def test_what_is_not_there_is_created_and_what_is_equal_is_unchanged() -> None:
    first = changes([MIGRATE, VERIFY], [])
    assert [(one.name, one.kind) for one in first] == [
        ("migrate-fleet/prod", ChangeKind.CREATE),
        ("verify-fleet/prod", ChangeKind.CREATE),
    ]
    second = changes([MIGRATE, VERIFY], [VERIFY, MIGRATE])
    assert {one.kind for one in second} == {ChangeKind.NOTHING}
    assert summary(second) == "2 unchanged"


def test_what_the_file_no_longer_has_is_removed_last() -> None:
    made = changes([VERIFY], [MIGRATE, VERIFY])
    assert [(one.name, one.kind) for one in made] == [
        ("verify-fleet/prod", ChangeKind.NOTHING),
        ("migrate-fleet/prod", ChangeKind.REMOVE),
    ]
    assert summary(made) == "1 unchanged, 1 to remove"


def test_an_update_names_each_value_before_and_after() -> None:
    wanted = replace(VERIFY, schedule="", tags=("b",))
    differences = (
        Difference(field="schedule", before="15 4 * * * UTC", after=""),
        Difference(field="tags", before="a, b", after="b"),
    )
    assert changes([wanted], [VERIFY]) == (
        Change(kind=ChangeKind.UPDATE, wanted=wanted, found=VERIFY, differences=differences),
    )


def test_nothing_wanted_and_nothing_there_is_no_change() -> None:
    assert changes([], []) == ()
    assert summary([]) == "nothing"


def test_automations_are_compared_as_deployments_are() -> None:
    drift = Automation(name="aks-entra drift", blocks=("slack-webhook/ops",), content="1")
    updated, removed = changes([replace(drift, content="2")], [drift, replace(drift, name="aks-entra earlier")])
    assert updated.differences == (Difference(field="content", before="1", after="2"),)
    assert (removed.kind, removed.name) == (ChangeKind.REMOVE, "aks-entra earlier")
    assert updated.of_automation
    assert removed.of_automation
    assert not Change(kind=ChangeKind.REMOVE, found=MIGRATE).of_automation
