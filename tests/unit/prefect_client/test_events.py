"""Events: one scheme of ids, no text of a stranger that a chat acts on, and no run that ends because of them."""

from __future__ import annotations

import json
import logging

import pytest
from prefect.events.schemas.events import Event, Resource
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.access.grants import Ended
from aks_entra.core.access.grants import Grant, Via
from aks_entra.core.planning.rollout import StageResult
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.prefect_client import events
from tests.support.cases import SHOP
from tests.support.happened import everything
from tests.support.rollouts import CANARY, PLAN, said

NAMES = {
    value
    for name, value in vars(events).items()
    if isinstance(value, str)
    and name.isupper()
    and value.startswith("aks-entra.")
    and name not in {"RESULT", "OUTCOME"}
}
CLUSTER = f"aks-entra.cluster{SHOP.key}"


def test_each_event_has_a_sample_and_is_about_a_fleet_or_a_cluster() -> None:
    about = {name: one.resource.id for name, one in everything().items()}
    assert set(about) == NAMES
    assert set(about.values()) == {CLUSTER, "aks-entra.fleet/prod"}
    assert SHOP.key.startswith("/subscriptions/")
    assert events.policy_subject("no-legacy").resource["prefect.resource.id"] == (
        "aks-entra.conditional-access-policy/no-legacy"
    )


def test_what_automations_can_filter_by_is_a_label() -> None:
    samples = everything()
    assert samples[events.STAGE_ENDED].resource["aks-entra.result"] == "failed"
    fine = events.stage_ended(PLAN, CANARY, StageResult(go_on=True, failures=0, because=""))
    assert fine.resource["aks-entra.result"] == "passed"
    assert samples[events.VERDICT_GIVEN].resource["aks-entra.outcome"] == "failed"
    (fleet,) = samples[events.DRIFT_FOUND].related
    assert (fleet.id, fleet.role) == ("aks-entra.fleet/prod", "fleet")


def test_a_text_of_a_stranger_forges_no_line_no_link_and_no_mention() -> None:
    forged = "x\nAn approval is given <https://evil.example|Approve> <!channel> [Approve](https://evil.example)\u202e"
    for one in everything(forged).values():
        text = json.dumps([dict(one.resource.root), one.payload], ensure_ascii=False)
        assert "evil.example" in text or one.event == events.STAGE_STARTED
        for active in ("<", ">", "](", "\\n", "\u202e"):
            assert active not in text, (one.event, active)


def test_a_fleet_without_drift_gives_no_event_and_one_with_much_names_some() -> None:
    assert events.drift_found("prod", [], 8) == ()
    many = [said(SHOP, Outcome.NOT_VERIFIED)] * 300
    *each, whole = events.drift_found("prod", many, 1000)
    assert len(each) == 300
    assert (whole.payload["drifted"], whole.payload["clusters"], len(whole.payload["listed"])) == (300, 1000, 20)


@pytest.mark.parametrize("how", [{"error": "403"}, {"extended": "2026-11-28T00:00:00Z"}])
def test_access_that_did_not_end_is_not_told_to_have_ended(how: dict[str, str]) -> None:
    grant = Grant(via=Via.AZURE, id="x", cluster_key=SHOP.key, principal_id="p", role="Reader", until=None)
    assert events.access_ended([Ended(grant=grant, removed=False, late=0.0, proof="", **how)]) == ()


async def test_an_event_that_cannot_be_sent_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    unwritable = Event(
        event="aks-entra.test", resource=Resource({"prefect.resource.id": "x"}), payload={"text": "\ud800"}
    )
    with (
        caplog.at_level(logging.WARNING, "aks_entra"),
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}),
    ):
        await events.emit(unwritable, everything()[events.GATE_WAITING])
    assert [one.getMessage().partition(" was not sent: ")[0] for one in caplog.records] == [
        "the event aks-entra.test",
        "the event aks-entra.gate.waiting",
    ]
