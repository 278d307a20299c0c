"""The fleet file: what it accepts, and what it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.fleet import ONE_STAGE, GroupSpec, Selector, StageSpec, WantedGroup
from aks_entra.core.planning.gates import Gate, Hours
from aks_entra.core.planning.prover import ProverSpec
from aks_entra.core.planning.rollout import Soak
from aks_entra.core.target import AzureRbac, Keep, LocalAccounts, RotationPolicy
from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile, load_fleet_file, parse_fleet_file

GUID = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
CLUSTER = (
    "/subscriptions/3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163/resourceGroups/shop-weu"
    "/providers/Microsoft.ContainerService/managedClusters/shop-01"
)
WHOLE = f"""\
version: 1
name: prod
clusters:
  - subscription: prod-eu
  - {{subscription: prod-eu, resource_group: shop-weu, name: shop-02, tags: {{env: prod}}}}
  - id: {CLUSTER}
target:
  tenant_id: {GUID.upper()}
  admin_groups:
    - id: {GUID.upper()}
    - name: aks-admins
    - name: AKS Admins (new)
      create: true
      description: May do everything
      members: [dana@contoso.com, {GUID}]
      owners: [dana@contoso.com]
    - {{name: other, create: true, unique_name: Other_1}}
  azure_rbac: on
  local_accounts: off
  rotation: later
prover: {{client_id: {GUID}, tenant_id: {GUID}, client_secret_env: PROVER_SECRET}}
rollout:
  stages:
    - name: canary
      groups:
        - {{name: first, clusters: [shop-02, pay-weu/pay-01]}}
        - {{name: ring, tags: {{ring: "0"}}, work_queue: spoke-weu}}
      max_concurrency: 1
      max_allowed_failures: 2
      gate_before: false
      gate_after: true
    - name: rest
      groups: [{{name: groups, resource_groups: [pay-weu]}}, {{name: all, rest: true}}]
"""
SMALL = "version: 1\nname: prod\nclusters: [{subscription: prod-eu}]\ntarget: {admin_groups: [{name: aks-admins}]}\n"


def test_a_whole_file_becomes_a_fleet() -> None:
    fleet = parse_fleet_file(WHOLE, "fleet.yaml").to_fleet()

    assert fleet.name == "prod"
    assert fleet.selectors == (
        Selector(subscription="prod-eu"),
        Selector(subscription="prod-eu", resource_group="shop-weu", name="shop-02", tags=(("env", "prod"),)),
        Selector(subscription="3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163", resource_group="shop-weu", name="shop-01"),
    )
    assert fleet.target.tenant_id == GUID
    assert fleet.target.admin_groups == (
        WantedGroup(id=GUID),
        WantedGroup(name="aks-admins"),
        WantedGroup(
            name="AKS Admins (new)",
            create=True,
            unique_name="aks-entra-aks-admins-new",
            description="May do everything",
            members=("dana@contoso.com", GUID),
            owners=("dana@contoso.com",),
        ),
        WantedGroup(name="other", create=True, unique_name="Other_1"),
    )
    assert fleet.target.azure_rbac is AzureRbac.ON
    assert fleet.target.local_accounts is LocalAccounts.OFF
    assert fleet.target.rotation is RotationPolicy.LATER
    assert fleet.prover == ProverSpec(client_id=GUID, tenant_id=GUID, secret_from="PROVER_SECRET")
    assert fleet.stages == (
        StageSpec(
            name="canary",
            groups=(
                GroupSpec(name="first", clusters=("shop-02", "pay-weu/pay-01")),
                GroupSpec(name="ring", tags=(("ring", "0"),), work_queue="spoke-weu"),
            ),
            max_concurrency=1,
            max_allowed_failures=2,
            gate_before=False,
            gate_after=True,
        ),
        StageSpec(
            name="rest",
            groups=(GroupSpec(name="groups", resource_groups=("pay-weu",)), GroupSpec(name="all", rest=True)),
        ),
    )


def test_a_small_file_has_careful_defaults() -> None:
    fleet = parse_fleet_file(SMALL, "fleet.yaml").to_fleet()

    assert fleet.target.azure_rbac is AzureRbac.KEEP
    assert fleet.target.local_accounts is LocalAccounts.OFF
    assert fleet.target.rotation is RotationPolicy.AT_ONCE
    assert fleet.prover is None
    assert fleet.stages == ONE_STAGE


def test_anchors_and_merge_keys_are_followed() -> None:
    text = SMALL + (
        "rollout:\n"
        "  stages:\n"
        "    - &slow {name: one, max_concurrency: 2, gate_before: false, groups: [{name: a, clusters: [x]}]}\n"
        "    - <<: *slow\n"
        "      name: two\n"
        "      groups: [{name: b, rest: true}]\n"
    )

    one, two = parse_fleet_file(text, "fleet.yaml").to_fleet().stages

    assert (one.name, one.max_concurrency, one.gate_before) == ("one", 2, False)
    assert (two.name, two.max_concurrency, two.gate_before, two.groups[0].rest) == ("two", 2, False, True)


def test_gates_are_true_false_or_what_they_wait_for() -> None:
    text = SMALL + (
        "rollout:\n"
        "  change_ticket: required\n"
        "  stages:\n"
        "    - name: one\n"
        "      groups: [{name: a, clusters: [x]}]\n"
        "      gate_before: {window: {days: [Saturday, sun], start: 02:00, end: 06:00, timezone: Europe/Amsterdam}}\n"
        "      gate_after: {wait: 7d}\n"
        "      batch_size: 20\n"
        "      max_concurrency_per_subscription: 3\n"
        "    - name: two\n"
        "      groups: [{name: b, rest: true}]\n"
        "      gate_before: {approval: false, not_before: 2026-12-01T23:00+01:00, maintenance_window: true}\n"
        "      gate_after: {approval: {expires_after: 1h}}\n"
        "    - {name: three, groups: [{name: c, clusters: [y]}], gate_before: {approval: true}, gate_after: {}}\n"
    )
    parsed = parse_fleet_file(text, "fleet.yaml")
    one, two, three = parsed.to_fleet().stages

    hours = Hours(days=("sat", "sun"), start="02:00", end="06:00", timezone="Europe/Amsterdam")
    assert (one.gate_before, one.gate_after) == (Gate(window=hours), Gate(approval=False, wait=7 * 86_400))
    assert (one.batch_size, one.max_concurrency_per_subscription) == (20, 3)
    assert two.gate_before == Gate(approval=False, not_before="2026-12-01T22:00:00Z", maintenance_window=True)
    assert two.gate_after == Gate(expires_after=3600)
    assert (three.gate_before, three.gate_after) == (True, False)
    assert parsed.to_fleet().ticket_required
    for dumped in (parsed.model_dump(mode="json"), parsed.model_dump(mode="json", exclude_defaults=True)):
        assert FleetFile.model_validate(dumped) == parsed


GATED = "rollout: {{stages: [{{name: all, groups: [{{name: all, rest: true}}], {stage}}}]{more}}}\n"


def test_a_gate_waits_for_quiet_audit_logs_before_a_stage_and_before_the_rotation() -> None:
    text = SMALL + GATED.format(
        stage="gate_before: {quiet: 7d}", more=", rotation: {after: 7d, gate: {approval: false, quiet: 1h}}"
    )
    fleet = parse_fleet_file(text, "fleet.yaml").to_fleet()
    assert fleet.stages[0].gate_before == Gate(quiet=7 * 86_400)
    assert fleet.rotation
    assert fleet.rotation.before == Gate(approval=False, quiet=3600, wait=7 * 86_400)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("gate_before: {quiet: 59m}", "gate_before.quiet: the audit logs cannot be judged for 59m"),
        ("gate_before: {quiet: 91d}", "gate_before.quiet: the audit logs cannot be judged for 91d"),
        ("gate_after: {quiet: 7d}", "gate_after.quiet: a gate after a stage cannot wait for this"),
    ],
)
def test_a_gate_that_could_not_listen_is_refused(stage: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_fleet_file(SMALL + GATED.format(stage=stage, more=""), "fleet.yaml")
    assert message in str(refused.value)


def test_the_approvers_of_the_rollout_sign_at_each_gate_that_has_no_others() -> None:
    who = f"tenant_id: {GUID}, client_id: {GUID}"
    text = SMALL + (
        "rollout:\n"
        f"  approvers: {{{who}, groups: [{GUID.upper()}], at_least: 2, not: requester}}\n"
        "  stages:\n"
        "    - {name: one, groups: [{name: a, clusters: [x]}], gate_after: true}\n"
        "    - name: two\n"
        "      groups: [{name: b, rest: true}]\n"
        f"      gate_before: {{approval: {{approvers: {{{who}, groups: [{CLUSTER[15:51]}],"
        " sign_in_expires_after: 8h}}}\n"
        "      gate_after: {wait: 1h}\n"
        "  rotation: {after: 7d}\n"
    )
    parsed = parse_fleet_file(text, "fleet.yaml")
    fleet = parsed.to_fleet()

    everywhere = Approvers(tenant_id=GUID, client_id=GUID, groups=(GUID,), at_least=2, not_requester=True)
    one, two = fleet.stages
    assert (one.gate_before, one.gate_after) == (Gate(approvers=everywhere), Gate(approvers=everywhere))
    shorter = Approvers(tenant_id=GUID, client_id=GUID, groups=(CLUSTER[15:51],), sign_in_expires_after=8 * 3600)
    assert two.gate_before == Gate(approvers=shorter)
    assert two.gate_after == Gate(approval=False, wait=3600)
    assert fleet.rotation == Soak(after=7 * 86_400, gate=Gate(approvers=everywhere))
    assert FleetFile.model_validate(parsed.to_parameter()) == parsed


def test_a_rotation_after_a_soak_is_a_later_one() -> None:
    text = SMALL + "rollout: {stages: [{name: a, groups: [{name: a, rest: true}]}], rotation: {after: 7d}}\n"
    fleet = parse_fleet_file(text, "fleet.yaml").to_fleet()

    assert fleet.target.rotation is RotationPolicy.LATER
    assert fleet.rotation == Soak(after=7 * 86_400)
    with pytest.raises(Refused, match=r"target\.rotation: `rollout\.rotation` already says when"):
        parse_fleet_file(text.replace("target: {", "target: {rotation: at-once, "), "fleet.yaml")


@pytest.mark.parametrize("word", ["off", '"off"', "'off'", "!!str off"])
def test_off_is_a_word_also_if_the_file_declares_yaml_1_1(word: str) -> None:
    text = SMALL.replace("target: {", f"target: {{local_accounts: {word}, azure_rbac: {word}, ")

    for head in ("", "%YAML 1.1\n---\n"):
        target = parse_fleet_file(head + text, "fleet.yaml").target
        assert (target.local_accounts, target.azure_rbac) == (LocalAccounts.OFF, AzureRbac.OFF)


def test_the_parameters_of_a_flow_are_checked_by_the_same_model() -> None:
    parsed = parse_fleet_file(WHOLE, "fleet.yaml")

    assert FleetFile.model_validate(parsed.model_dump(mode="json")) == parsed
    assert FleetFile.model_validate_json(parsed.model_dump_json()) == parsed


def test_doors_that_must_be_closed() -> None:
    text = SMALL.replace("target: {", "target: {doors: {node-ssh: closed, jwt-authenticators: closed}, ")
    assert parse_fleet_file(text, "fleet.yaml").to_fleet().target.doors == ("jwt-authenticators", "node-ssh")
    for wrong in ("{door-of-tomorrow: closed}", "{node-ssh: open}", "{node-ssh: true}", "node-ssh", "[node-ssh]"):
        with pytest.raises(Refused) as refused:
            parse_fleet_file(SMALL.replace("target: {", f"target: {{doors: {wrong}, "), "fleet.yaml")
        assert "target.doors" in refused.value.message, wrong
        assert refused.value.remedy, wrong


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary, large, locked = tmp_path / "b.yaml", tmp_path / "l.yaml", tmp_path / "fleet.yaml"
    binary.write_bytes(b"version: 1\nname: caf\xe9\n")
    large.write_text("#" * 1_048_577)
    locked.write_text(SMALL)

    for path, message in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "is a folder"),
        (binary, "b.yaml:2: is not UTF-8 text"),
        (large, "larger than 1024 KiB"),
        (locked / "below", "cannot be read: Not a directory"),
    ):
        with pytest.raises(Refused, match=message):
            load_fleet_file(path)
    assert load_fleet_file(locked).name == "prod"


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())

    assert load_fleet_file(path).name == "prod"


def test_a_fleet_can_be_a_management_group_or_a_tenant_without_some_clusters() -> None:
    fleet = parse_fleet_file(
        "version: 1\nname: prod\nclusters: [{management_group: corp, tags: {env: prod}}, {tenant: true}]\n"
        f"exclude: [{{name: shop-99}}, {{subscription: dev}}, {{id: {CLUSTER}}}]\n"
        "target: {admin_groups: [{name: aks-admins}]}\n",
        "fleet.yaml",
    ).to_fleet()
    assert fleet.selectors == (
        Selector(management_group="corp", tags=(("env", "prod"),)),
        Selector(tenant=True),
    )
    assert [one.place for one in fleet.selectors] == ["management group corp", "the tenant"]
    assert fleet.excluded == (
        Selector(name="shop-99"),
        Selector(subscription="dev"),
        Selector(subscription=CLUSTER.split("/")[2], resource_group="shop-weu", name="shop-01"),
    )


def test_each_kind_of_credential_of_a_prover_is_read() -> None:
    ids = f"client_id: {GUID}, tenant_id: {GUID}"
    kinds = {
        f"{ids}, client_certificate_path: /run/prover.pem": ProverSpec(
            client_id=GUID, tenant_id=GUID, certificate_path="/run/prover.pem"
        ),
        f"{ids}, federated_token_file: /run/token": ProverSpec(client_id=GUID, tenant_id=GUID, token_file="/run/token"),
        f"client_id: {GUID}, managed_identity: true": ProverSpec(client_id=GUID, managed_identity=True),
        "managed_identity: true": ProverSpec(managed_identity=True),
    }
    for written, meant in kinds.items():
        group = f"{{name: all, rest: true, prover: {{{written}}}}}"
        text = f"{SMALL}prover: {{{written}}}\nrollout: {{stages: [{{name: one, groups: [{group}]}}]}}\n"
        fleet = parse_fleet_file(text, "fleet.yaml").to_fleet()
        assert (fleet.prover, fleet.stages[0].groups[0].prover) == (meant, meant)


def test_local_accounts_are_kept_off_only_if_the_file_asks_for_it() -> None:
    assert parse_fleet_file(SMALL, "fleet.yaml").to_fleet().target.keep is None
    kept = SMALL.replace("target: {", "target: {keep: deny, ")
    assert parse_fleet_file(kept, "fleet.yaml").to_fleet().target.keep is Keep.DENY
