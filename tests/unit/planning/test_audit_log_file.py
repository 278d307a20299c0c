"""An audit log is read in every form in which it is exported; what is none is one clear error."""

from __future__ import annotations

import gzip
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aks_entra.errors import Refused
from aks_entra.planning.audit_log_file import lines_of, read_audit_logs
from tests.support.cases import SHOP

SINCE = datetime(2026, 10, 25, tzinfo=UTC)
NOW = datetime(2026, 11, 24, tzinfo=UTC)
ID = SHOP.resource_id
EVENT: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "auditID": "a-1",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/nodes",
    "verb": "list",
    "user": {"username": "masterclient", "groups": ["system:masters", "system:authenticated"]},
    "sourceIPs": ["10.2.0.7"],
    "userAgent": "helm/3.14",
    "responseStatus": {"metadata": {}, "code": 200},
    "requestReceivedTimestamp": "2026-11-20T08:00:00.123456Z",
}
ROW: dict[str, Any] = {
    "TenantId": "w",
    "TimeGenerated": "2026-11-20T08:00:00.1234567Z",
    "AuditId": "a-1",
    "Stage": "ResponseComplete",
    "RequestUri": "/api/v1/nodes",
    "Verb": "list",
    "User": {"username": "masterclient", "groups": ["system:masters"]},
    "SourceIps": ["10.2.0.7"],
    "UserAgent": "helm/3.14",
    "ResponseStatus": {"code": 200},
    "Type": "AKSAudit",
    "_ResourceId": ID.lower(),
}
DIAGNOSTIC = {
    "category": "kube-audit",
    "resourceId": ID.upper(),
    "properties": {"log": json.dumps(EVENT), "stream": "stdout"},
}
LEGACY = {"Category": "kube-audit", "Type": "AzureDiagnostics", "ResourceId": ID.upper(), "log_s": json.dumps(EVENT)}
API = {"tables": [{"name": "PrimaryResult", "columns": [{"name": name} for name in ROW], "rows": [list(ROW.values())]}]}
CSV = (
    '"TimeGenerated [UTC]",Stage,Verb,User,SourceIps,UserAgent,ResponseStatus,Type,"_ResourceId"\n'
    '"11/20/2026, 8:00:00.123 AM",ResponseComplete,list,"{""username"":""masterclient""}","[""10.2.0.7""]",helm/3.14,'
    f'"{{""code"":200}}",AKSAudit,{ID.lower()}\n'
)


def written(folder: Path, text: str, name: str = "audit.log") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        (json.dumps(EVENT) + "\n", ""),
        (f"\n{json.dumps(EVENT)}\n\n{json.dumps({**EVENT, 'auditID': 'a-1'})}\n", ""),
        (json.dumps(DIAGNOSTIC), ID.lower()),
        (
            json.dumps({"records": [DIAGNOSTIC, {"category": "kube-apiserver", "properties": {"log": "E1120 x"}}]}),
            ID.lower(),
        ),
        (json.dumps(LEGACY), ID.lower()),
        (json.dumps([LEGACY], indent=1), ID.lower()),
        (json.dumps([ROW], indent=2), ID.lower()),
        (json.dumps({**ROW, "User": json.dumps(ROW["User"]), "SourceIps": '["10.2.0.7"]'}), ID.lower()),
        (json.dumps(API), ID.lower()),
        (json.dumps({"kind": "EventList", "items": [EVENT]}), ""),
        (CSV, ID.lower()),
        ("﻿" + CSV.replace(".123 AM", " AM"), ID.lower()),
    ],
)
def test_every_form(tmp_path: Path, text: str, cluster: str) -> None:
    found = read_audit_logs([written(tmp_path, text)], SINCE, NOW)
    assert list(found) == [cluster]
    (caller,) = found[cluster].callers
    assert caller.words == "1 request by masterclient from 10.2.0.7 (helm/3.14), last on 2026-11-20: list"
    assert found[cluster].complete


def test_gzip_and_a_named_cluster(tmp_path: Path) -> None:
    file = tmp_path / "audit=old.gz"
    file.write_bytes(gzip.compress(json.dumps(EVENT).encode()))
    assert list(read_audit_logs([f"Shop-WEU/shop-01={file}"], SINCE, NOW)) == ["shop-weu/shop-01"]
    assert list(read_audit_logs([str(file)], SINCE, NOW)) == [""]


def test_what_a_token_says_of_itself(tmp_path: Path) -> None:
    extra = "authentication.kubernetes.io/"
    users = [
        {"username": "dana@contoso.com", "extra": {"oid": ["6666"]}},
        {"username": "jenkins", "extra": {f"{extra}credential-id": ["X509SHA256=ab"]}},
        {
            "username": "system:serviceaccount:a:b",
            "extra": {f"{extra}pod-name": ["b-1"], f"{extra}credential-id": "JTI=1"},
        },
    ]
    events = [json.dumps({**EVENT, "auditID": str(at), "user": user}) for at, user in enumerate(users)]
    found = read_audit_logs([written(tmp_path, "\n".join(events))], SINCE, NOW)
    assert [one.username for one in found[""].callers] == ["jenkins"]


def test_the_namespace_of_what_was_asked_for(tmp_path: Path) -> None:
    pods = {"resource": "pods", "namespace": "ci", "apiVersion": "v1"}
    events = [{**EVENT, "auditID": "1", "objectRef": pods}, {**EVENT, "auditID": "2", "objectRef": None}]
    rows = [{**ROW, "AuditId": "3", "ObjectRef": json.dumps(pods)}]
    for several, namespace in (
        (events, "ci"),
        (rows, "ci"),
        ([*events, {**EVENT, "objectRef": {"resource": "nodes"}}], ""),
    ):
        text = "\n".join(json.dumps(one) for one in several)
        (found,) = read_audit_logs([written(tmp_path, text)], SINCE, NOW).values()
        assert [one.namespace for one in found.callers] == [namespace]


@pytest.mark.parametrize(
    "entry",
    [
        {**LEGACY, "Category": "kube-audit-admin"},
        {**ROW, "Type": "AKSAuditAdmin"},
    ],
)
def test_a_log_without_reads_is_not_complete(tmp_path: Path, entry: dict[str, Any]) -> None:
    (found,) = read_audit_logs([written(tmp_path, json.dumps(entry))], SINCE, NOW).values()
    assert not found.complete


@pytest.mark.parametrize(
    "cut",
    [
        {**LEGACY, "log_s": json.dumps(EVENT)[:100]},
        {**LEGACY, "log_s": "[]"},
        {**LEGACY, "log_s": json.dumps({**EVENT, "user": None})},
        {**ROW, "User": '{"username": "master'},
        {**ROW, "User": 7},
        {**ROW, "_ResourceId": ID[:-30]},
    ],
)
def test_a_damaged_entry_makes_the_log_incomplete(tmp_path: Path, cut: dict[str, Any]) -> None:
    text = f"{json.dumps(LEGACY)}\n{json.dumps(cut)}\n"
    found = read_audit_logs([written(tmp_path, text)], SINCE, NOW)[ID.lower()]
    assert not found.complete
    assert found.events == 1


def test_what_is_older_than_was_asked_for_says_nothing(tmp_path: Path) -> None:
    old = written(tmp_path, json.dumps({**EVENT, "requestReceivedTimestamp": "2026-01-01T00:00:00Z"}), "old")
    found = read_audit_logs([old, written(tmp_path, json.dumps(EVENT))], SINCE, NOW)
    assert found[""].since == "2026-11-20T08:00:00Z"
    with pytest.raises(Refused, match="the newest audited request is of 2026-01-01T00:00:00Z, and those before"):
        read_audit_logs([old], SINCE, NOW)


def test_a_file_that_is_named_for_a_cluster_says_nothing_of_others_in_it(tmp_path: Path) -> None:
    other = {**DIAGNOSTIC, "resourceId": ID.upper().replace("SHOP-01", "SHOP-02")}
    both = written(tmp_path, f"{json.dumps(DIAGNOSTIC)}\n{json.dumps(other)}\n")
    found = read_audit_logs([f"shop-weu/shop-01={both}"], SINCE, NOW)
    assert (list(found), found["shop-weu/shop-01"].events) == (["shop-weu/shop-01"], 1)
    with pytest.raises(Refused, match="no audited request of pay-weu/shop-01 is in it, but some of /subscriptions/"):
        read_audit_logs([f"pay-weu/shop-01={both}"], SINCE, NOW)


def test_stages_and_entries_that_are_no_request_are_left_out(tmp_path: Path) -> None:
    received = {**EVENT, "stage": "RequestReceived", "auditID": "a-2"}
    nobody = {**EVENT, "user": None, "auditID": "a-3"}
    without = {
        **EVENT,
        "sourceIPs": None,
        "responseStatus": None,
        "auditID": "a-4",
        "requestReceivedTimestamp": "2026-11-20T08:00:00",
    }
    lines = "\n".join(json.dumps(one) for one in (received, nobody, without))
    found = read_audit_logs([written(tmp_path, lines)], SINCE, NOW)
    assert found[""].events == 1
    assert found[""].callers[0].addresses == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no audit log"),
        ("hello\n", "is no audit log"),
        ("{", "it is not JSON"),
        ('{"a": 1}\n{"b":\n', ":2: this line is not JSON"),
        ('{"a": 1}\n', "no audited request is in it"),
        ("7\n", "is no audit log"),
        ("[7]\n", "no audited request is in it"),
        (
            json.dumps({**EVENT, "requestReceivedTimestamp": "soon"}),
            "request cannot be read: 'soon'",
        ),
    ],
)
def test_what_is_no_audit_log_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Refused, match=message.replace("(", r"\(")):
        read_audit_logs([written(tmp_path, text)], SINCE, NOW)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no such file"):
        read_audit_logs([str(tmp_path / "nothing")], SINCE, NOW)
    (tmp_path / "latin").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(Refused, match="not UTF-8"):
        read_audit_logs([str(tmp_path / "latin")], SINCE, NOW)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(json.dumps(EVENT).encode())[:40])
    with pytest.raises(Refused, match="cannot be read"):
        read_audit_logs([str(tmp_path / "cut.gz")], SINCE, NOW)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    assert list(lines_of(io.StringIO("12345\n6"), Path("a.gz"), longest=6)) == ["12345\n", "6"]
    with pytest.raises(Refused, match=r"a\.gz: a line of it is longer than 5 characters"):
        list(lines_of(io.StringIO("1\n123456"), Path("a.gz"), longest=5))


def callers_of(folder: Path, *events: dict[str, Any]) -> list[tuple[str, int]]:
    text = "\n".join(json.dumps(one) for one in events)
    (found,) = read_audit_logs([written(folder, text)], SINCE, NOW).values()
    return [(one.user_agent, one.count) for one in found.callers]


def test_half_of_a_surrogate_pair_is_shown_as_a_replacement(tmp_path: Path) -> None:
    half = {**EVENT, "userAgent": "helm\ud83d", "user": {"username": "master\udc00client", "groups": ["\ud800"]}}
    (found,) = read_audit_logs([written(tmp_path, json.dumps(half))], SINCE, NOW).values()
    assert [(one.username, one.user_agent) for one in found.callers] == [("master\ufffdclient", "helm\ufffd")]
    assert found.callers[0].words.encode()
    (tmp_path / "raw").write_bytes(json.dumps(EVENT).encode().replace(b"helm", b"\xed\xa0\xbd"))
    with pytest.raises(Refused, match="not UTF-8"):
        read_audit_logs([str(tmp_path / "raw")], SINCE, NOW)


def test_entries_that_are_there_twice_count_once(tmp_path: Path) -> None:
    assert callers_of(tmp_path, EVENT, EVENT, {**EVENT, "stage": "ResponseStarted"}) == [("helm/3.14", 1)]
    first, second = written(tmp_path, json.dumps(EVENT), "a"), written(tmp_path, json.dumps(EVENT), "b")
    (found,) = read_audit_logs([first, second], SINCE, NOW).values()
    assert found.events == 1


def test_nobody_hides_behind_the_audit_id_of_another_request(tmp_path: Path) -> None:
    refused = {**EVENT, "user": {"username": "system:anonymous"}, "responseStatus": {"code": 401}}
    assert callers_of(tmp_path, refused, EVENT, {**EVENT, "userAgent": "curl"}) == [("helm/3.14", 1), ("curl", 1)]


def test_the_order_of_the_entries_and_their_time_zones_do_not_matter(tmp_path: Path) -> None:
    times = ("2026-11-20T09:30:00+02:00", "2026-11-20T01:00:00-05:00", "2026-11-20T06:30:00Z")
    events = [{**EVENT, "auditID": at, "requestReceivedTimestamp": at} for at in times]
    text = "\n".join(json.dumps(one) for one in events)
    (found,) = read_audit_logs([written(tmp_path, text)], SINCE, NOW).values()
    assert (found.since, found.until, found.events) == ("2026-11-20T06:00:00Z", "2026-11-20T07:30:00Z", 3)
    assert found.callers[0].last_seen == "2026-11-20T07:30:00Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV.replace("[UTC]", "[Local Time]"), "its times are local ones of an unknown time zone"),
        (CSV.replace("11/20/2026", "20/11/2026"), "can have its day or its month first: '20/11/2026"),
        (CSV.replace("11/20/2026", "10/11/2026"), "can have its day or its month first: '10/11/2026"),
        (CSV.replace("11/20/2026", "12/11/2026"), "has not come yet: '12/11/2026"),
        (json.dumps({**EVENT, "requestReceivedTimestamp": "2027-01-01T00:00:00Z"}), "has not come yet: '2027"),
        (CSV[:-170], ":2: this row is damaged: it has 6 of 9 columns"),
        (CSV + "11/20/2026,x\n", ":3: this row is damaged: it has 2 of 9 columns"),
        (CSV + '"11/20/2026, 8:00:00 AM",ResponseComplete,list,"{""user', "is damaged: unexpected end of data"),
        (f"{json.dumps(EVENT)}\n{json.dumps(EVENT)[:50]}", ":2: this line is not JSON"),
        (f"{json.dumps(LEGACY)}\n" + "[" * 100_000, "is damaged"),
        ("[" * 100_000, "is damaged"),
        (json.dumps({**API, "error": {"code": "PartialError"}}), "Log Analytics returned only a part"),
        (json.dumps({"tables": [{**API["tables"][0], "rows": [["only one"]]}]}), "is damaged"),
        (json.dumps({"tables": [{**API["tables"][0], "rows": [7]}]}), "a table has another form"),
        (json.dumps({"tables": [7]}), "a table has another form"),
    ],
)
def test_a_damaged_or_unclear_part_of_a_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Refused, match=re.escape(message)) as refused:
        read_audit_logs([written(tmp_path, text)], SINCE, NOW)
    assert "audit.log" in refused.value.message
    assert refused.value.remedy


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(json.dumps([EVENT] * 50).encode()))
    whole[30] ^= 0xFF
    (tmp_path / "audit.gz").write_bytes(whole)
    with pytest.raises(Refused, match=r"audit\.gz: (is damaged|cannot be read|not UTF-8)"):
        read_audit_logs([str(tmp_path / "audit.gz")], SINCE, NOW)


@pytest.mark.parametrize(
    "strange",
    [
        {"responseStatus": {"code": "none"}},
        {"responseStatus": 7},
        {"sourceIPs": {"a": 1}},
        {"user": {"username": "masterclient", "groups": 7, "extra": [1]}},
        {"objectRef": "pods"},
    ],
)
def test_columns_of_another_form_hide_no_caller(tmp_path: Path, strange: dict[str, Any]) -> None:
    assert callers_of(tmp_path, {**EVENT, **strange}) == [("helm/3.14", 1)]
