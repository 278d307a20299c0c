# ruff: noqa: E501, ISC004 - what is printed reads best as it is printed
"""A plan on a terminal and as Markdown: it shows everything that a change board needs, once."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.core.planning.gates import Gate, Hours
from aks_entra.core.planning.plan import Change, FleetPlan
from aks_entra.core.target import AzureRbac, GroupTarget
from aks_entra.report import plan_markdown
from aks_entra.report.plan_text import render
from aks_entra.report.plan_view import view_of
from aks_entra.text.markdown import for_markdown_table_cell
from tests.support.golden_files import approved
from tests.support.report_samples import ADMINS, fleet_plan, planned, posture

NEW = GroupTarget(display_name="aks-new", unique_name="aks-new", members=("a", "b"))
STEPS = len(planned(posture("open-1")).steps)
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


def test_golden_plan_on_a_terminal() -> None:
    plan = fleet_plan(("all", (planned(posture("open-1")),)))
    text = text_of(plan)

    assert text.endswith(f"\nplan {plan.digest}")
    approved("plan-on-a-terminal", [("one cluster with local accounts on", text.removesuffix(plan.digest))])


def test_stages_say_their_rules() -> None:
    rules = [(stage.name, stage.rules) for stage in view_of(a_whole_fleet()).stages]

    assert rules == [
        ("canary", "1 cluster, gate before, gate after, stop after 1 failure"),
        ("rest", "4 clusters, gate before, 2 at a time, stop after 1 failure"),
    ]


def test_clusters_that_have_everything_in_common_are_one_block() -> None:
    text = text_of(a_whole_fleet())

    assert f"  shop-weu/open-1, shop-weu/open-2  2 clusters, each {STEPS} steps, 17 to 50 min\n" in text
    assert text.count("disable local accounts") == 3


def test_a_finding_that_all_clusters_share_is_shown_once() -> None:
    text = text_of(a_whole_fleet())

    assert text.count("W103") == 1
    assert "On every cluster of these stages\n    ⚠ W103" in text
    assert "    ⚠ W102 the plan turns Azure RBAC for Kubernetes off: role assignments will not count any more\n" in text


def test_refused_and_skipped_clusters_show_why_and_what_to_do() -> None:
    text = text_of(a_whole_fleet())

    assert "Refused (1)\n  shop-weu/no-rbac\n    ✗ B003 Kubernetes RBAC is off" in text
    assert "→ create a new cluster with `aks-entra provision` and move the workloads" in text
    assert "Skipped (1)\n  shop-weu/stopped\n    ✗ B010" in text
    assert "Nothing to do (1)\n  shop-weu/done  rotated on 2026-03-02\n" in text


def test_a_plan_shows_who_gains_and_who_loses_access() -> None:
    view = view_of(a_whole_fleet())

    assert view.gains == ("aks-new (on 1 cluster)", "aks-admins (on 1 cluster)", "aks-alone (on 1 cluster)")
    assert view.loses == (
        "everyone who fetches admin credentials from Azure (on 4 clusters)",
        "every holder of an admin kubeconfig, a client certificate or a static token, including service-account "
        "tokens outside the cluster (on 5 clusters)",
        "kubeconfigs of the legacy integration (on 1 cluster)",
        "holders of Azure Kubernetes Service RBAC roles (on 1 cluster)",
    )


def test_with_azure_rbac_on_holders_of_roles_gain_access() -> None:
    plan = fleet_plan(("all", (planned(posture("a"), azure_rbac=AzureRbac.ON), planned(posture("b", azure_rbac=True)))))

    assert view_of(plan).gains == ("holders of Azure Kubernetes Service RBAC roles (on 1 cluster)",)
    assert "update Azure RBAC       reversible · Azure RBAC on" in text_of(plan)


def test_every_kind_of_step_has_words() -> None:
    text = text_of(a_whole_fleet())

    for words in (
        "+  create group aks-new       only if uniqueName aks-new does not exist; with 2 first members and the prover",
        "+  create group aks-alone              only if uniqueName aks-alone does not exist; with the prover as member",
        "+  enable Microsoft Entra ID  ONE WAY · admin groups: aks-new · kubeconfigs must be downloaded again",
        "+  upgrade legacy to Microsoft Entra ID  ONE WAY · admin groups: aks-admins",
        "+  update admin groups and Azure RBAC  reversible · adds aks-alone and keeps the others; Azure RBAC off",
    ):
        assert words in text


def test_a_group_without_a_name_is_shown_by_its_id() -> None:
    unnamed = GroupTarget(display_name="", id=ADMINS)
    plan = fleet_plan(("all", (planned(posture("a", identity=Identity.NONE), admin_groups=(unnamed,)),)))

    assert f"admin groups: {ADMINS}" in text_of(plan)


def test_the_step_that_enables_entra_id_shows_azure_rbac() -> None:
    for wanted, words in ((AzureRbac.ON, "; Azure RBAC on"), (AzureRbac.OFF, "; Azure RBAC off"), (AzureRbac.KEEP, "")):
        plan = fleet_plan(("all", (planned(posture("a", identity=Identity.NONE), azure_rbac=wanted),)))
        assert f"admin groups: aks-admins{words} ·" in text_of(plan)


def test_a_fleet_with_nothing_to_do() -> None:
    done = planned(posture("done", local_accounts=False), debt=Debt.NONE, because="rotated on 2026-03-02")
    plan = fleet_plan(("all", (done,)))

    assert not view_of(plan).changes
    assert text_of(plan) == (
        "Nothing to do (1)\n"
        "  shop-weu/done  rotated on 2026-03-02\n"
        "0 clusters · 0 steps · nothing has been written\n"
        f"plan {plan.digest}"
    )


def test_a_plan_as_markdown() -> None:
    plan = a_whole_fleet()
    text = plan_markdown.render(view_of(plan))

    assert text.startswith(
        f"# Plan of prod\n\n`{plan.digest}` · 5 clusters · {plan.step_count} steps · made 2026-11-24T09:00:00Z · nothing has been written\n"
    )
    for part in (
        "\n## Stage canary (1 cluster, gate before, gate after, stop after 1 failure)\n",
        f"\n### shop-weu/open-1, shop-weu/open-2 (2 clusters, each {STEPS} steps, 17 to 50 min)\n\n| | step | what it means |\n",
        "| − | disable local accounts | reversible · `--admin` is refused from here on;",
        "| ↻ | rotate certificates | **ONE WAY** · API, workloads",
        "\n## Refused (1)\n\n**shop-weu/no-rbac**\n\n- ✗ **B003** Kubernetes RBAC is off",
        "\n## Skipped (1)\n",
        "\n## Nothing to do (1)\n\n- **shop-weu/done** rotated on 2026-03-02\n",
        "\n## On every cluster of these stages\n\n- ⚠ **W103**",
        "\n- ⚠ **W102** the plan turns Azure RBAC for Kubernetes off",
        "\n## Expected time\n\n| stage | clusters | time | what binds |\n|---|---|---|---|\n| stage canary | 1 cluster | about 30",
        "\n- the time until a person approves is not known: 3 approvals\n",
        "\n**Who gains access:** aks-new (on 1 cluster); aks-admins",
    ):
        assert part in text


def test_names_from_outside_make_no_markdown() -> None:
    assert for_markdown_table_cell("a|b *c* _d_ <img> [x](y)\nz", code=True) == r"a\|b \*c\* \_d\_ \<img\> \[x\](y)⏎z"
    assert for_markdown_table_cell("set `a_b|c` now_", code=True) == r"set `a_b\|c` now\_"
    assert for_markdown_table_cell("a lone ` and_", code=True) == r"a lone \` and\_"


def test_a_plan_shows_what_a_gate_waits_for_and_what_changed() -> None:
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
    assert text.startswith(
        f"This replaces plan {made.digest}, because clusters changed since\n  shop-weu/legacy  Azure RBAC: exp"
    )
    page = plan_markdown.render(view_of(moved))
    assert "| shop-weu/legacy | Azure RBAC: expected off, found on |" in page
    assert plan_markdown.changes(view_of(made)) == ""
