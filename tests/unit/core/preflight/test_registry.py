"""The registry of the rules: who may skip what, and the reference page that it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.preflight import LOCAL_ACCOUNTS_POLICY, RULES, SKIPPABLE, Severity, Skip, reference, skip_refused
from aks_entra.core.preflight.context import listed
from aks_entra.core.preflight.finding import Rule, rule, says
from tests.support.cases import facts, managed, target
from tests.support.rule_cases import found


def test_a_skipped_rule_is_an_info_that_names_the_reason() -> None:
    failed = managed(provisioning_state="Failed")
    assert plan_cluster(failed, target(), facts()).disposition == "refused"
    plan = plan_cluster(failed, target(), facts(), (Skip(rule="B015", reason="CHG-1042"),))
    (finding,) = found(plan, "B015")
    assert finding.severity is Severity.INFO
    assert finding.message.startswith("skipped (CHG-1042): the cluster's last operation failed")
    assert plan.disposition == "migrate"


@pytest.mark.parametrize(
    ("rule", "reason", "why"),
    [
        ("W127", "CHG-1042", ""),
        ("W127", " ", "without a reason"),
        ("W999", "CHG-1042", "there is no rule W999"),
        ("I118", "CHG-1042", "it is only information"),
        *[
            (rule, "CHG-1042", "keeps a way in open")
            for rule in ("B004", "B007", "B008", "B009", "B011", "B012", "B016", "B021")
        ],
    ],
)
def test_what_may_be_skipped(rule: str, reason: str, why: str) -> None:
    assert why in skip_refused(Skip(rule=rule, reason=reason))
    assert bool(why) == bool(skip_refused(Skip(rule=rule, reason=reason)))


def test_what_keeps_a_way_in_open_cannot_be_skipped() -> None:
    assert {one for one in SKIPPABLE if one[0] == "B"} == {"B015", "B023", "B024", "B025", "B066"}


def test_every_rule_is_documented_and_every_id_is_of_one_rule() -> None:
    ids = [one for rule in RULES for one in rule.ids]
    assert len(ids) == len(set(ids))
    assert all(rule.says and rule.seen_in for rule in RULES)
    assert LOCAL_ACCOUNTS_POLICY in reference()


def test_the_reference_is_current() -> None:
    page = Path(__file__).parents[4] / "docs" / "reference" / "preflight.md"
    assert page.read_text(encoding="utf-8") == reference(), "run: make docs"


@pytest.mark.parametrize(
    ("count", "words"), [(4, "0, 1, 2, 3"), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, and 1 more"), (0, "")]
)
def test_only_what_is_left_out_is_counted(count: int, words: str) -> None:
    assert listed(tuple(str(number) for number in range(count))) == words


def test_a_rule_of_preflight_is_made_of_a_function() -> None:
    def check(_: object) -> Any:
        """What it looks for,
        over two lines.
        """
        return iter(())

    made = rule("B901", "W901", "I901", seen_in="a property", remedy="repair it", firm=("B901",))(check)

    assert made == Rule(
        check=check, ids=("B901", "W901", "I901"), seen_in="a property", remedy="repair it", skippable=("W901",)
    )
    assert made.says == "What it looks for, over two lines."
    assert rule("B901", seen_in="x")(check).remedy == ""
    assert rule("B901", seen_in="x")(lambda _: iter(())).says == ""
    assert says("U901", "unknown", evidence="e").severity is Severity.UNKNOWN


def test_no_cell_of_the_reference_breaks_its_table() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {7}
