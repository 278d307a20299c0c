# ruff: noqa: E501 - a table reads best with one line for each case
"""The runs of a fleet file: what starts them, what is refused, and that no plan depends on them."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.schedules import CronSchedule
from pydantic import ValidationError

from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile, parse_fleet_file
from aks_entra.fleet_file.runs import RequestFile

SMALL = "version: 1\nname: prod\nclusters: [{subscription: prod-eu}]\ntarget: {admin_groups: [{name: aks-admins}]}\n"
CRONS = ["0 2 * * 6", "15 4 * * mon-fri", "*/5 * * * *", "0 0 1,15 jan-jun *", "0 3 * * 7"]
WRONG = {
    "four fields": ('migrate: {cron: "0 2 * *"}', "runs.migrate.cron: `0 2 * *` is not a cron schedule", "minute, hour"),
    "six fields": ('migrate: {cron: "0 0 2 * * 6"}', "is not a cron schedule", "minute, hour"),
    "hour 25": ('migrate: {cron: "0 25 * * *"}', "is not a cron schedule", "minute, hour"),
    "30 February": ('migrate: {cron: "0 0 30 2 *"}', "is not a cron schedule", "minute, hour"),
    "a word": ("migrate: {cron: nightly}", "`nightly` is not a cron schedule", "minute, hour"),
    "a macro": ('migrate: {cron: "@daily"}', "is not a cron schedule", "minute, hour"),
    "a random minute": ('migrate: {cron: "R 2 * * *"}', "is not a cron schedule", "minute, hour"),
    "the last day": ('migrate: {cron: "0 2 L * *"}', "is not a cron schedule", "minute, hour"),
    "a number": ("migrate: {cron: 5}", "must be text, not `5`", "in quotes"),
    "an unknown time zone": ('migrate: {cron: "0 2 * * 6", timezone: Europe/Amsterdm}', "runs.migrate.timezone: `Europe/Amsterdm` is not a time zone", "IANA name"),
    "a time zone without a schedule": ("migrate: {timezone: UTC}", "a time zone needs a schedule", "add `cron: …`"),
    "an unknown flow": ("migrat: {}", "runs.migrat: unknown key", "did you mean `migrate`? Allowed here: migrate, verify or inventory"),
    "another flow": ("provision: {}", "runs.provision: unknown key", "migrate, verify or inventory"),
    "an event by name": ("migrate: {on_event: requested}", "must be true or false", "`on_event: true`"),
    "a schedule under its other name": ('migrate: {schedule: "0 2 * * 6"}', "unknown key", "did you mean `cron`?"),
    "no value": ("migrate:", "runs.migrate: has no value", "remove the key"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_run_is_one_error_with_its_line_and_a_remedy(case: tuple[str, str, str]) -> None:
    text, message, remedy = case
    with pytest.raises(Refused) as refused:
        parse_fleet_file(f"{SMALL}runs:\n  verify: {{}}\n  {text}\n", "fleet.yaml")
    assert str(refused.value).startswith("fleet.yaml:7: ")
    assert message in str(refused.value)
    assert remedy in str(refused.value)


@pytest.mark.parametrize("cron", CRONS)
def test_a_schedule_that_is_accepted_here_is_accepted_by_prefect(cron: str) -> None:
    fleet = parse_fleet_file(
        f'{SMALL}runs: {{migrate: {{cron: "{cron}", timezone: Europe/Amsterdam}}}}\n', "fleet.yaml"
    )
    ((name, run),) = fleet.deployed_runs.deployed()
    assert name == "migrate"
    assert CronSchedule(cron=str(run.cron), timezone=run.timezone).cron == cron


def test_without_runs_all_three_are_started_by_hand_and_an_empty_section_deploys_none() -> None:
    assert [name for name, _ in parse_fleet_file(SMALL, "f").deployed_runs.deployed()] == [
        "migrate",
        "verify",
        "inventory",
    ]
    assert [*parse_fleet_file(f"{SMALL}runs: {{}}\n", "f").deployed_runs.deployed()] == []


def test_no_plan_depends_on_the_runs_and_the_parameter_does_not_contain_them() -> None:
    plain = parse_fleet_file(SMALL, "f")
    scheduled = parse_fleet_file(f'{SMALL}runs: {{migrate: {{cron: "0 2 * * 6", on_event: true}}}}\n', "f")
    assert scheduled.to_fleet() == plain.to_fleet()
    assert scheduled.to_parameter() == plain.to_parameter()
    assert FleetFile.model_validate(scheduled.to_parameter()) == plain


def test_a_request_says_who_asks_and_takes_nothing_else() -> None:
    assert str(RequestFile(ticket="CHG-1042", reason="maintenance night", by="dana")) == (
        "ticket CHG-1042, maintenance night, by dana"
    )
    bad: tuple[dict[str, Any], ...] = (
        {"ticket": "x" * 300},
        {"ticket": "a\nb"},
        {"ticket": 7},
        {"fleet": {}},
        {"ticket": "\u202e"},
    )
    for wrong in bad:
        with pytest.raises(ValidationError):
            RequestFile.model_validate(wrong)
