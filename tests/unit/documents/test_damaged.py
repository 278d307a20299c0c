"""Documents that are newer than this program, damaged on the way, or made to do harm: one error, never half read."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_entra import documents
from aks_entra.core.evidence.observations import ActivityLogRead, Baseline
from aks_entra.core.evidence.rotation_debt import Debt, Record, Sighting, old_credentials
from aks_entra.core.planning.fleet import Fleet, Selector, WantedTarget
from aks_entra.core.storable import canonical, storable
from aks_entra.errors import Refused
from tests.support.cases import NEW_CA, NOW, SHOP, managed
from tests.support.examples import times
from tests.support.report_samples import every_verdict, fleet_plan, planned, posture

PLAN = fleet_plan(("all", (planned(posture("shop-01")),)))
REPORT = every_verdict()
FLEET = Fleet(name="prod", selectors=(Selector(subscription="s"),), target=WantedTarget())
BASELINE = Baseline(cluster=SHOP.key, at=NOW, ca="4be1", nodes=(), workloads=(), credential_held=True)
DEAD = Record(cluster=SHOP.key, sighting=Sighting.CREATED_CLOSED, at=NOW, ca=NEW_CA.fingerprint)
HALF: Final = "\ud800"
KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "plan": (documents.dump_plan(PLAN), documents.load_plan),
    "report": (documents.dump_report(REPORT), documents.load_report),
    "verdict": (documents.dump_verdict(REPORT.verdicts[0]), documents.load_verdict),
    "records": (documents.dump_records((DEAD,)), documents.load_records),
    "fleet": (documents.dump_fleet(FLEET), documents.load_fleet),
    "baseline": (documents.dump_baseline(BASELINE), documents.load_baseline),
}


def content_of(document: dict[str, Any], kind: str) -> dict[str, Any]:
    """A document's content; of a list its first."""
    content: Any = document[kind]
    first: dict[str, Any] = content[0] if isinstance(content, list) else content
    return first


def changed(kind: str, **fields: Any) -> str:
    return json.dumps(json.loads(KINDS[kind][0]) | fields)


@pytest.mark.parametrize("kind", KINDS)
def test_every_document_has_a_version_and_one_without_is_the_first(kind: str) -> None:
    text, load = KINDS[kind]
    document = json.loads(text)
    assert [holder["version"] for holder in (document, content_of(document, kind)) if "version" in holder] == [1]

    document.pop("version", None)
    content_of(document, kind).pop("version", None)
    assert load(json.dumps(document)) == load(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inside", [True, False])
def test_a_newer_document_is_said_to_be_newer(kind: str, inside: bool) -> None:
    document = json.loads(KINDS[kind][0])
    (document[kind] if inside and isinstance(document[kind], dict) else document)["version"] = 2
    content_of(document, kind)["something"] = ["that", "did", "not", "exist"]
    with pytest.raises(Refused) as refused:
        KINDS[kind][1](json.dumps(document))

    assert refused.value.message == (
        f"this {kind} was written by a newer version of aks-entra (format 2; this one reads 1)"
    )
    assert refused.value.code == "NewerVersion"
    assert "malformed" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_this_version_does_not_know_is_never_passed_over(kind: str) -> None:
    document = json.loads(KINDS[kind][0])
    content_of(document, kind)["withdrawn"] = True
    with pytest.raises(Refused, match=r"newer version of aks-entra \(it has the field [0.]*withdrawn"):
        KINDS[kind][1](json.dumps(document))


def test_a_field_that_nobody_knows_is_found_deep_in_a_list() -> None:
    document = json.loads(KINDS["plan"][0])
    document["plan"]["clusters"][0]["steps"][0]["unless"] = "monday"
    with pytest.raises(Refused, match=r"it has the field clusters\.0\.steps\.0\.unless"):
        documents.load_plan(json.dumps(document))


@pytest.mark.parametrize("version", [0, -1, True, None, "1", 1.5, [], {}, "x" * 500])
def test_a_version_that_is_none_is_malformed(version: object) -> None:
    with pytest.raises(Refused, match=r"this verdict is malformed at version: ") as refused:
        documents.load_verdict(changed("verdict", version=version))
    assert len(refused.value.message) < 200


def test_a_package_that_swells_is_refused_before_it_fills_the_memory() -> None:
    bomb = base64.b64encode(gzip.compress(b"\0" * (documents.LARGEST + 1))).decode()
    with pytest.raises(Refused, match="more than 64 MiB come out of it"):
        documents.unpack(bomb)


def test_what_could_not_be_read_again_is_not_stored() -> None:
    with pytest.raises(Refused, match="too large to be stored: 64 MiB"):
        documents.pack("x" * (documents.LARGEST + 1))
    assert documents.unpack(documents.pack("x" * 1000)) == "x" * 1000


@pytest.mark.parametrize("tail", [b"more", gzip.compress(b"a second one", mtime=0)], ids=["bytes", "a second package"])
def test_what_follows_a_package_is_damage(tail: bytes) -> None:
    with pytest.raises(Refused, match="damaged"):
        documents.unpack(base64.b64encode(gzip.compress(b"a plan") + tail).decode())


def test_a_half_character_is_stored_as_a_sign_for_one_and_the_digest_holds() -> None:
    plan, report = replace(PLAN, name=f"pr{HALF}d"), replace(REPORT, name=f"pr{HALF}d")
    verdict = replace(REPORT.verdicts[0], because=(f"tag a{HALF}",))

    assert documents.load_plan(documents.unpack(documents.pack(documents.dump_plan(plan)))).name == "pr\ufffdd"
    assert documents.load_report(documents.dump_report(report)).digest == report.digest
    assert documents.load_verdict(documents.dump_verdict(verdict)).because == ("tag a\ufffd",)
    assert (
        documents.load_report(
            changed(
                "report",
                digest=report.digest,
                report=json.loads(documents.dump_report(report).replace("\ufffd", "\\ud800"))["report"],
            )
        ).name
        == "pr\ufffdd"
    )
    assert documents.unpack(documents.pack(f"a{HALF}b")) == "a?b"


def test_the_digest_of_a_plan_with_a_half_character_in_what_it_binds() -> None:
    one = PLAN.clusters[0]
    plan = replace(PLAN, clusters=(replace(one, target=replace(one.target, tenant_id=f"t{HALF}")),))
    assert documents.load_plan(documents.dump_plan(plan)).digest == plan.digest


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=())))
def test_any_text_can_be_stored(text: str) -> None:
    value = {"a": [text, (text,), 1, None], text: text}
    assert json.loads(json.dumps(storable(value), ensure_ascii=False).encode()) is not None
    assert canonical(value) == canonical(storable(value))


def refusal_of(call: Callable[[], Any]) -> Refused | None:
    """The one error of ours; None when it was read. Any other error fails the test."""
    try:
        call()
    except Refused as refused:
        return refused
    return None


_TEXTS = st.sampled_from(tuple(KINDS))


@times(6)
@given(kind=_TEXTS, data=st.data())
def test_a_document_with_any_part_overwritten_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    text, load = KINDS[kind]
    at = data.draw(st.integers(0, len(text) - 1))
    upto = data.draw(st.integers(at, min(at + 40, len(text))))
    put = data.draw(
        st.one_of(st.text(max_size=12), st.sampled_from(('"', "{", "]", ",", "null", "\\ud800", "1e999", HALF)))
    )
    refused = refusal_of(lambda: load(text[:at] + put + text[upto:]))
    assert refused is None or (kind in refused.message and refused.remedy)


@times(3)
@given(at=st.integers(0, 10_000), put=st.text(max_size=4), length=st.integers(0, 6))
def test_a_package_with_any_part_overwritten_is_read_whole_or_refused(at: int, put: str, length: int) -> None:
    packed = documents.pack(KINDS["report"][0])
    at %= len(packed)
    damaged = packed[:at] + put + packed[at + length :]
    refused = refusal_of(lambda: documents.unpack(damaged))
    assert "damaged" in refused.message if refused else documents.unpack(damaged) == KINDS["report"][0]


@pytest.mark.parametrize("cluster", ["", SHOP.key])
def test_a_record_that_cannot_be_read_makes_dead_credentials_unknown(cluster: str) -> None:
    closed = managed(local_accounts=False, ca=NEW_CA)
    dead = Record(cluster=SHOP.key, sighting=Sighting.CREATED_CLOSED, at=NOW, ca=NEW_CA.fingerprint)
    lost = Record(cluster=cluster, sighting=Sighting.UNREADABLE, at="", source="kept/one.json")

    log = ActivityLogRead(at=NOW, since="2020-01-01T00:00:00Z", until=NOW)
    found = old_credentials(closed, (dead, lost), log, now=NOW)
    assert found.debt is Debt.UNKNOWN
    assert "kept/one.json" in found.because
    assert old_credentials(closed, (dead, replace(lost, cluster="another")), log, now=NOW).debt is Debt.NONE
