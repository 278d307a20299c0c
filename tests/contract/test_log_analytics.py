"""Callers that would break, read from audit logs with the real SDK: diagnostic settings and workspace answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from aks_entra.adapters.log_analytics import QUERY
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.observations import Credential, CredentialTried, Moment
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.preflight.audit_callers import AuditedCallers, Holds
from aks_entra.core.rollout.owners import Owner
from aks_entra.core.rollout.quiet import Listened, listen
from aks_entra.errors import Refused, TryLater
from aks_entra.planning.audit_logs import listen_to, owners_of
from aks_entra.planning.planner import plan_fleet
from aks_entra.ports.migration import AuditTrail
from aks_entra.wiring import Session
from azure_sandbox.faults.requests import throttled
from azure_sandbox.front.http import Reply
from azure_sandbox.logs.kql import read
from azure_sandbox.logs.state import AuditEvent
from tests.contract.small_world import ADMINS, READER, SUBSCRIPTION, cluster

if TYPE_CHECKING:
    from azure_sandbox.server import Sandbox
    from tests.contract.small_world import Opener

EVENTS = """\
      - {user: masterclient, groups: [system:masters], userAgent: helm/3.14, address: 10.2.0.7, count: 41, at: 3d}
      - {user: masterclient, groups: [system:masters], userAgent: helm/3.14, address: 10.2.0.8, verb: list, at: 2d}
      - {user: masterclient, groups: [system:masters], userAgent: old/1.0, address: 10.2.0.9, at: 40d}
      - {user: ci-bot, groups: [ci], certificate: true, verb: create, userAgent: kubectl, address: 10.2.0.6, at: 1d,
         resource: pods, namespace: ci}
      - {user: "system:serviceaccount:ci:deployer", userAgent: terraform, address: 10.2.0.5, count: 8112, at: 1d}
      - {user: "system:serviceaccount:ci:runner", userAgent: go, address: 10.224.0.9, at: 1d}
      - {user: "system:serviceaccount:pay:ledger", userAgent: go, address: 10.244.0.3, pod: true, at: 1d}
      - {user: "system:serviceaccount:kube-system:job-controller", userAgent: kube-controller-manager/v1.33, at: 1d}
      - {user: "system:node:aks-1", userAgent: kubelet, address: 10.224.0.9, verb: update, count: 900, at: 1d}
      - {user: dana@contoso.com, userAgent: kubectl, address: 10.2.0.4, entra: true, at: 1d}
      - {user: "system:kube-scheduler", userAgent: kube-scheduler, verb: watch, count: 300, at: 1d}
      - {user: clusterAdmin, status: 401, userAgent: curl, address: 10.2.0.3, at: 1d}
"""
MORE = f"""\
      - name: logged
        location: westeurope
        clusters:
          - &managed
            name: whole
            identity: managed
            adminGroups: [aks-admins]
            auditLog: &log
              events: &events
{EVENTS.replace("      - ", "                - ")}
          - <<: *managed
            name: shared
            auditLog: {{<<: *log, dedicated: false, categoryGroup: allLogs, workspace: other}}
          - {{<<: *managed, name: writes, auditLog: {{<<: *log, categories: [kube-audit-admin]}}}}
          - {{<<: *managed, name: empty, auditLog: {{workspace: new}}}}
          - {{<<: *managed, name: quiet, auditLog: {{events: [{{user: "system:kube-scheduler", verb: list, at: 1d}}]}}}}
          - {{<<: *managed, name: steady, auditLog: {{events: [
              {{user: "system:kube-scheduler", verb: get, at: 9d, hourly: true}},
              {{user: dana@contoso.com, entra: true, at: 1d}}, {{user: masterclient, at: 8d}}]}}}}
          - {{<<: *managed, name: old, auditLog: {{events: [{{user: masterclient, at: 40d}}]}}}}
          - {{<<: *managed, name: stored, auditLog: {{<<: *log, workspace: ""}}}}
          - {{<<: *managed, name: guards, auditLog: {{<<: *log, categories: [guard]}}}}
          - {{<<: *managed, name: silent, auditLog: null}}
"""
LOGGED = pytest.mark.parametrize("box", [{"more": MORE}], indirect=True)


def trail(session: Session) -> AuditTrail:
    assert session.ports.audit is not None
    return session.ports.audit


async def heard(session: Session, name: str, days: int = 30) -> tuple[AuditedCallers | None, str]:
    return await trail(session).callers(cluster(name, "logged"), days)


@LOGGED
@pytest.mark.parametrize("name", ["whole", "shared"])
async def test_callers_that_break_are_summed_up(opened: Opener, name: str) -> None:
    async with opened() as session:
        found, why = await heard(session, name)
    assert found is not None, why
    assert (found.complete, found.missing, found.events) == (
        True,
        "",
        41 + 1 + 1 + 8112 + 1 + 1 + 1 + 900 + 1 + 300 + 1,
    )
    assert [(one.holds, one.username, one.count, one.addresses) for one in found.callers] == [
        (Holds.ADMIN_CERTIFICATE, "masterclient", 42, ("10.2.0.7", "10.2.0.8")),
        (Holds.CERTIFICATE, "ci-bot", 1, ("10.2.0.6",)),
        (Holds.SERVICE_ACCOUNT, "system:serviceaccount:ci:deployer", 8112, ("10.2.0.5",)),
    ]
    assert found.callers[0].verbs == ("get", "list")
    assert [one.namespace for one in found.callers] == ["", "ci", "ci"]
    assert found.since < found.callers[0].last_seen <= found.until


@LOGGED
async def test_the_query_covers_the_given_days(opened: Opener) -> None:
    async with opened() as session:
        found, _ = await heard(session, "whole", 60)
        assert found is not None
        assert "old/1.0" in {one.user_agent for one in found.callers}
        quiet, _ = await heard(session, "quiet")
        assert quiet == replace(quiet, callers=(), complete=True) if quiet else False


@LOGGED
async def test_a_log_without_reads_or_a_partial_answer_is_incomplete(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        found, _ = await heard(session, "writes")
        assert found is not None
        assert (found.complete, [one.username for one in found.callers]) == (False, ["ci-bot"])
        box.logs.partial = 1
        found, _ = await heard(session, "whole")
        assert found is not None
        assert not found.complete
        assert "workspace logs returned only a part" in found.missing
        assert box.logs.partial == 0


@LOGGED
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("empty", "workspace new has no table with an audit log yet"),
        ("old", "workspace logs has no audited request of the last 30 days"),
        ("stored", "goes to a storage account or an event hub only: export it"),
        ("guards", "no diagnostic setting of the cluster sends its audit log"),
        ("silent", "no diagnostic setting of the cluster sends its audit log"),
    ],
)
async def test_without_a_log_the_callers_are_unknown(opened: Opener, name: str, why: str) -> None:
    async with opened() as session:
        found, said = await heard(session, name)
    assert found is None
    assert why in said


@LOGGED
async def test_the_plan_lists_callers_that_break_and_unknown_ones(opened: Opener) -> None:
    selectors = tuple(
        Selector(subscription=SUBSCRIPTION, resource_group="logged", name=name)
        for name in ("whole", "writes", "silent")
    )
    fleet = Fleet(name="f", selectors=selectors, target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)))
    async with opened() as session:
        plan = await plan_fleet(session.ports, fleet, ())
        unasked = await plan_fleet(session.ports, replace(fleet, audit_days=0), ())
    said = {
        one.cluster.name: [(it.rule, it.message) for it in one.findings if it.rule[1:] == "120"]
        for one in plan.clusters
    }
    assert [rule for rule, _ in said["whole"]] == ["W120"] * 3
    assert any("42 requests by masterclient from 10.2.0.7, 10.2.0.8 (helm/3.14)" in text for _, text in said["whole"])
    assert [rule for rule, _ in said["writes"]] == ["W120", "U120"]
    assert "does not contain reads (kube-audit-admin)" in said["writes"][1][1]
    nowhere = "no diagnostic setting of the cluster sends its audit log (kube-audit) anywhere"
    assert said["silent"] == [("U120", f"it is unknown who still uses old credentials: {nowhere}")]
    assert unasked.digest == plan.digest  # audit logs change by the hour, so the digest excludes them
    assert {it.rule for one in unasked.clusters for it in one.findings if it.rule[1:] == "120"} == {"U120"}


@LOGGED
async def test_calls_with_our_user_agent_have_their_times(opened: Opener, box: Sandbox) -> None:
    me, now = cluster("steady", "logged"), box.clock.now()
    times = [now - timedelta(hours=2), now - timedelta(hours=1), now - timedelta(hours=1)]
    box.arm.state.logs.events[me.key] += [
        AuditEvent(user="masterclient", groups=("system:masters",), verb="list", user_agent="aks-entra/0.1.0", at=at)
        for at in times
    ]
    tries = tuple(
        CredentialTried(
            at=stamp(at), credential=Credential.STATIC_TOKEN, moment=Moment.BEFORE, status=200, ca="", connections=count
        )
        for at, count in ((times[0], 1), (times[1], 2))
    )
    async with opened() as session:
        heard = (await listen_to(session.ports, (me,), 7 * 86_400))[me.key]
    assert not listen(me, heard, 7 * 86_400, now).quiet
    assert not listen(me, replace(heard, recorded=tries[:1]), 7 * 86_400, now).quiet
    found = listen(me, replace(heard, recorded=tries), 7 * 86_400, now)
    assert found.quiet, found
    assert [one.count for one in found.own] == [3]


@LOGGED
async def test_a_gate_hears_the_clusters_of_several_workspaces(opened: Opener, box: Sandbox) -> None:
    names = ("whole", "quiet", "steady", "writes", "stored", "empty")
    clusters = {name: cluster(name, "logged") for name in names}
    async with opened() as session:
        heard = await listen_to(session.ports, tuple(clusters.values()), 7 * 86_400)
    found = {name: listen(one, heard.get(one.key), 7 * 86_400, box.clock.now()) for name, one in clusters.items()}
    assert found["steady"].quiet, found["steady"]
    assert [one.username for one in found["whole"].callers][:2] == ["masterclient", "ci-bot"]
    assert "begins at" in found["quiet"].unknown
    assert "does not contain reads" in found["writes"].unknown
    assert "storage account" in found["stored"].unknown
    assert "no table with an audit log yet" in found["empty"].unknown


@LOGGED
async def test_a_caller_has_the_owner_that_its_namespace_names(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        posture = await session.ports.arm.cluster(cluster("whole", "logged"))
        server = box.arm.clusters.for_host(posture.fqdn or "")
        assert server is not None
        metadata = {"name": "ci", "labels": {"team": "payments"}, "annotations": {"contoso.com/owner": "dana"}}
        server.store.put(("", "namespaces"), {"metadata": metadata}, box.clock.now())
        found, _ = await heard(session, "whole")
        assert found is not None
        shut = Listened(cluster=posture.cluster, callers=found.callers)
        assert await owners_of(session.ports, (shut,)) == {
            posture.cluster.key: (
                Owner(name="dana", by="annotation contoso.com/owner of namespace ci", namespace="ci"),
            )
        }
        assert await session.ports.kubernetes.namespace_owner(posture, "default") is None
        with pytest.raises(Refused, match="not found"):
            await session.ports.kubernetes.namespace_owner(posture, "nowhere")


@LOGGED
async def test_a_missing_right_is_named(opened: Opener, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", READER["appId"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "the-reader")
    place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/logged"
    async with opened() as session:
        assert "Microsoft.Insights/diagnosticSettings/read" in (await heard(session, "whole"))[1]
        box.arm.assign(cluster("whole", "logged").resource_id, READER["id"], "Reader")
        assert "Microsoft.OperationalInsights/workspaces/read" in (await heard(session, "whole"))[1]
        box.arm.assign(f"{place}/providers/Microsoft.OperationalInsights/workspaces/logs", READER["id"], "Reader")
        assert (await heard(session, "whole"))[0] is not None


@LOGGED
async def test_errors_and_limits_of_the_service_are_reported(opened: Opener, box: Sandbox) -> None:
    refusal = {"error": {"code": "InsufficientAccessError", "message": "The provided credentials have no access"}}
    async with opened() as session:
        box.faults.add("POST", "/query$", host="api.loganalytics.io", answer=throttled(1))
        assert (await heard(session, "quiet"))[0] is not None
        box.faults.add("POST", "/query$", host="api.loganalytics.io", answer=Reply(403, refusal))
        with pytest.raises(Refused, match="have no access"):
            await heard(session, "whole")
        box.faults.add("GET", "/diagnosticSettings$", answer=throttled(1), times=4)
        with pytest.raises(TryLater, match="throttles"):
            await heard(session, "whole")
    assert box.faults.account() == {"injected": 6, "consumed": 6, "left": 0}


def test_only_the_supported_query_is_parsed() -> None:
    text = QUERY.format(
        clusters="'/subscriptions/s', '/subscriptions/t'",
        table="AKSAudit",
        category="kube-audit",
        most=10,
        program="p/",
    )
    assert read(text) is not None
    assert read(text.replace("startswith", "contains", 1)) is None
    assert read("AKSAudit | count") is None
