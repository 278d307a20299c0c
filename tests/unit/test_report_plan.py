# ruff: noqa: E501, ISC004 - what is printed reads best as it is printed
"""A plan on a terminal and as Markdown: what a change board decides by is there, once."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from aks_entra.core.cluster import Identity
from aks_entra.core.debt import Debt
from aks_entra.core.gates import Gate, Hours
from aks_entra.core.plan import Change, FleetPlan
from aks_entra.core.target import AzureRbac, GroupTarget
from aks_entra.report import plan_markdown
from aks_entra.report.plan_markdown import escaped
from aks_entra.report.plan_text import render
from aks_entra.report.plan_view import view_of
from tests.unit.report_samples import ADMINS, fleet_plan, planned, posture

NEW = GroupTarget(display_name="aks-new", unique_name="aks-new", members=("a", "b"))
NEW_ALONE = GroupTarget(display_name="aks-alone", unique_name="aks-alone")


def text_of(plan: FleetPlan) -> str:
    console = Console(width=300, no_color=True)
    with console.capture() as captured:
        for renderable in render(view_of(plan)):
            console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def a_whole_fleet() -> FleetPlan:
    return fleet_plan(
        ("canary", (planned(posture("none", identity=Identity.NONE), admin_groups=(NEW,)),)),
        (
            "rest",
            (
                planned(posture("legacy", identity=Identity.LEGACY)),
                planned(posture("open-1")),
                planned(posture("open-2")),
                planned(
                    posture("rbac", azure_rbac=True, local_accounts=False),
                    debt=Debt.OWED,
                    because="CA from 2024-05-11",
                    azure_rbac=AzureRbac.OFF,
                    admin_groups=(NEW_ALONE,),
                ),
            ),
        ),
        others=(
            planned(posture("no-rbac", identity=Identity.NONE, kubernetes_rbac=False)),
            planned(posture("stopped", power_state="Stopped")),
            planned(posture("done", local_accounts=False), debt=Debt.NONE, because="rotated on 2026-03-02"),
        ),
    )


def test_a_plan_on_a_terminal() -> None:
    plan = fleet_plan(("all", (planned(posture("open-1")),)))

    assert text_of(plan) == (
        "Stage all (1 cluster, gate before, stop after 1 failure)\n"
        "  shop-weu/open-1  5 steps, 17 to 50 min\n"
        "    ?  prove sign-in           a token of the prover must get in before anything is closed\n"
        "    ?  record baseline         nodes and workloads as they are; an admin credential is held in memory as the "
        "witness\n"
        "    −  disable local accounts  reversible · `--admin` is refused from here on; credentials handed out before "  # noqa: RUF001 - the plan's mark
        "live until rotation · 2 to 5 min\n"
        "    ↻  rotate certificates     ONE WAY · API, workloads and ingress may be down for 30 min or more; nodes, "
        "scale sets and disks are recreated · every old credential and service-account token dies · 15 to 45 min\n"
        "    ?  verify from outside     member in, nodes Ready, workloads as before, old credentials tried\n"
        "    ⚠ W103 no person's sign-in has been proven yet: the prover is an automation\n"
        "           → let one member of an admin group run `kubectl get nodes` before you approve\n"
        "    ⚠ W120 2026-11-24 to 2026-11-24: 41 requests by masterclient from 10.2.0.7 (helm/3.14), last on "
        "2026-11-20: get, list: this stops working\n"
        "           → move it to Microsoft Entra ID (kubelogin, workload identity) before you approve\n"
        "Who gains access:    nobody new\n"
        "Who loses access:    whoever would fetch admin credentials from Azure (on 1 cluster)\n"
        "                     every holder of an admin kubeconfig, a client certificate or a static token, "
        "service-account tokens outside the cluster among them (on 1 cluster)\n"
        "Who proves sign-in:  6a1be8f6-cb66-57df-84f0-65016162507f (an automation, not a person)\n"
        "1 cluster · 5 steps · nothing has been written\n"
        f"plan {plan.digest}"
    )


def test_stages_say_their_rules() -> None:
    rules = [(stage.name, stage.rules) for stage in view_of(a_whole_fleet()).stages]

    assert rules == [
        ("canary", "1 cluster, gate before, gate after, stop after 1 failure"),
        ("rest", "4 clusters, gate before, 2 at a time, stop after 1 failure"),
    ]


def test_clusters_that_have_everything_in_common_stand_together() -> None:
    text = text_of(a_whole_fleet())

    assert "  shop-weu/open-1, shop-weu/open-2  2 clusters, each 5 steps, 17 to 50 min\n" in text
    assert text.count("disable local accounts") == 3


def test_what_all_clusters_share_is_said_once() -> None:
    text = text_of(a_whole_fleet())

    assert text.count("W103") == 1
    assert "On every cluster of these stages\n    ⚠ W103" in text
    assert "    ⚠ W102 Azure RBAC for Kubernetes is switched off: role assignments stop to count\n" in text


def test_clusters_that_are_held_back_say_why_and_what_to_do() -> None:
    text = text_of(a_whole_fleet())

    assert "Refused (1)\n  shop-weu/no-rbac\n    ✗ B003 Kubernetes RBAC is off" in text
    assert "→ create a new cluster with `aks-entra provision` and move the workloads" in text
    assert "Skipped (1)\n  shop-weu/stopped\n    ✗ B010" in text
    assert "As it should be (1)\n  shop-weu/done  rotated on 2026-03-02\n" in text


def test_who_gains_and_who_loses() -> None:
    view = view_of(a_whole_fleet())

    assert view.gains == ("aks-new (on 1 cluster)", "aks-admins (on 1 cluster)", "aks-alone (on 1 cluster)")
    assert view.loses == (
        "whoever would fetch admin credentials from Azure (on 4 clusters)",
        "every holder of an admin kubeconfig, a client certificate or a static token, service-account tokens outside "
        "the cluster among them (on 5 clusters)",
        "kubeconfigs of the legacy integration (on 1 cluster)",
        "holders of Azure Kubernetes Service RBAC roles (on 1 cluster)",
    )


def test_azure_rbac_switched_on_lets_role_holders_in() -> None:
    plan = fleet_plan(("all", (planned(posture("a"), azure_rbac=AzureRbac.ON), planned(posture("b", azure_rbac=True)))))

    assert view_of(plan).gains == ("holders of Azure Kubernetes Service RBAC roles (on 1 cluster)",)
    assert "update Azure RBAC       reversible · Azure RBAC on" in text_of(plan)


def test_every_kind_of_step_has_words() -> None:
    text = text_of(a_whole_fleet())

    for words in (
        "+  create group aks-new       unless uniqueName aks-new exists; with 2 first members and the prover",
        "+  create group aks-alone              unless uniqueName aks-alone exists; with the prover in it",
        "+  enable Microsoft Entra ID  ONE WAY · admin groups: aks-new · kubeconfigs must be downloaded again",
        "+  upgrade legacy to Microsoft Entra ID  ONE WAY · admin groups: aks-admins",
        "+  update admin groups and Azure RBAC  reversible · adds aks-alone to those there are; Azure RBAC off",
    ):
        assert words in text


def test_a_group_without_a_name_goes_by_its_id() -> None:
    unnamed = GroupTarget(display_name="", id=ADMINS)
    plan = fleet_plan(("all", (planned(posture("a", identity=Identity.NONE), admin_groups=(unnamed,)),)))

    assert f"admin groups: {ADMINS}" in text_of(plan)


def test_enabling_says_what_becomes_of_azure_rbac() -> None:
    for wanted, words in ((AzureRbac.ON, "; Azure RBAC on"), (AzureRbac.OFF, "; Azure RBAC off"), (AzureRbac.KEEP, "")):
        plan = fleet_plan(("all", (planned(posture("a", identity=Identity.NONE), azure_rbac=wanted),)))
        assert f"admin groups: aks-admins{words} ·" in text_of(plan)


def test_a_fleet_that_is_as_it_should_be() -> None:
    done = planned(posture("done", local_accounts=False), debt=Debt.NONE, because="rotated on 2026-03-02")
    plan = fleet_plan(("all", (done,)))

    assert not view_of(plan).changes
    assert text_of(plan) == (
        "As it should be (1)\n"
        "  shop-weu/done  rotated on 2026-03-02\n"
        "0 clusters · 0 steps · nothing has been written\n"
        f"plan {plan.digest}"
    )


def test_a_plan_as_markdown() -> None:
    plan = a_whole_fleet()
    text = plan_markdown.render(view_of(plan))

    assert text.startswith(
        f"# Plan of prod\n\n`{plan.digest}` · 5 clusters · 29 steps · made 2026-11-24T09:00:00Z · nothing has been written\n"
    )
    for part in (
        "\n## Stage canary (1 cluster, gate before, gate after, stop after 1 failure)\n",
        "\n### shop-weu/open-1, shop-weu/open-2 (2 clusters, each 5 steps, 17 to 50 min)\n\n| | step | what it means |\n",
        "| − | disable local accounts | reversible · `--admin` is refused from here on;",  # noqa: RUF001 - the plan's mark
        "| ↻ | rotate certificates | **ONE WAY** · API, workloads",
        "\n## Refused (1)\n\n**shop-weu/no-rbac**\n\n- ✗ **B003** Kubernetes RBAC is off",
        "\n## Skipped (1)\n",
        "\n## As it should be (1)\n\n- **shop-weu/done** rotated on 2026-03-02\n",
        "\n## On every cluster of these stages\n\n- ⚠ **W103**",
        "\n- ⚠ **W102** Azure RBAC for Kubernetes is switched off",
        "\n**Who gains access:** aks-new (on 1 cluster); aks-admins",
    ):
        assert part in text


def test_markdown_is_not_made_by_what_others_named() -> None:
    assert escaped("a|b *c* _d_ <img> [x](y)\nz") == r"a\|b \*c\* \_d\_ \<img\> \[x\](y) z"
    assert escaped("set `a_b|c` now_") == r"set `a_b\|c` now\_"
    assert escaped("a lone ` and_") == r"a lone \` and\_"


def test_what_a_gate_waits_for_and_what_moved_is_said() -> None:
    whole = a_whole_fleet()
    hours = Hours(days=("sat",), start="02:00", end="06:00")
    careful = replace(
        whole.stages[1],
        gate_before=Gate(expires_after=12 * 3600, window=hours, maintenance_window=True),
        gate_after=Gate(approval=False, wait=7 * 86_400),
        batch_size=2,
        max_concurrency_per_subscription=1,
    )
    made = replace(whole, stages=(whole.stages[0], careful))
    moved = made.planned_again(
        (replace(made.clusters[1], tier="Standard"),),
        (Change(cluster="shop-weu/legacy", differences=("Azure RBAC: expected off, found on",)),),
        at="2026-11-25T00:00:00Z",
    )
    assert moved.digest != made.digest
    assert moved.created_at == "2026-11-25T00:00:00Z"

    text = text_of(moved)
    assert (
        "Stage rest (4 clusters, gate before: approval (valid 12h) + window sat 02:00 to 06:00 UTC + "
        "the clusters' maintenance windows, gate after: wait 7d, 2 at a time, 1 of one subscription, batches of 2, "
        "stop after 1 failure)"
    ) in text
    assert text.startswith(f"In place of plan {made.digest}: clusters moved since\n  shop-weu/legacy  Azure RBAC: exp")
    page = plan_markdown.render(view_of(moved))
    assert "| shop-weu/legacy | Azure RBAC: expected off, found on |" in page
    assert plan_markdown.changes(view_of(made)) == ""
