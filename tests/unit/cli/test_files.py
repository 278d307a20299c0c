"""Files that commands read and write: plans, reports, kubeconfigs. A wrong file is refused before Azure is asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from typer.testing import CliRunner, Result

from aks_entra.cli import app
from aks_entra.cli.earlier_reports import evidence_in, gather, own_calls, unreachable
from aks_entra.cli.plan_input import located, read_plan, read_settings, write_new
from aks_entra.core.evidence.observations import Credential, CredentialTried, Moment
from aks_entra.core.evidence.rotation_debt import Sighting
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.documents import dump_plan, dump_report
from aks_entra.errors import Refused
from aks_entra.settings import Settings
from tests.support.report_samples import cluster, every_verdict, fleet_plan, planned, posture

FLEET = "version: 1\nname: prod\nclusters: [{subscription: prod-eu}]\ntarget: {admin_groups: [{name: aks-admins}]}\n"


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    Path("fleet.yaml").write_text(FLEET)
    Path("plan.json").write_text(dump_plan(fleet_plan(("all", (planned(posture("shop-01")),)))))
    Path("report.json").write_text(dump_report(every_verdict()))


def aks_entra(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inventory"], "no subscription is named"),
        (["inventory", "fleet.yaml", "-g", "a"], "the fleet file already selects the clusters"),
        (["inventory", "fleet.yaml", "--subscription", "a"], "the fleet file already selects the clusters"),
        (["inventory", "--subscription", "a", "--tag", "env"], "--tag env: not KEY=VALUE"),
        (["inventory", "--subscription", "a", "--tag", "=x"], "--tag =x: not KEY=VALUE"),
        (["inventory", "none.yaml"], "none.yaml: no such file"),
        (["inventory", "--subscription", "a", "--evidence", "none.json"], "none.json: no such file or folder"),
        (["inventory", "--subscription", "a", "--evidence", "fleet.yaml"], "fleet.yaml: "),
        (["plan", "none.yaml"], "none.yaml: no such file"),
        (["plan", "report.json"], "report.json:2: kind: this is no fleet file"),
        (["plan", "fleet.yaml", "--evidence", "none"], "none: no such file or folder"),
        (["verify", "none.json"], "none.json: No such file or directory"),
        (["verify", "report.json"], "report.json: this is no plan"),
        (["verify", "plan.json", "--old-kubeconfig", "shop-01"], "--old-kubeconfig shop-01: not CLUSTER=FILE"),
        (["verify", "plan.json", "--old-kubeconfig", "shop-01="], "not CLUSTER=FILE"),
        (["verify", "plan.json", "--old-kubeconfig", "shop-01=none"], "none: No such file or directory"),
        (["verify", "plan.json", "--evidence", "report.json"], "report.json: exists already"),
        (["report", "none.json"], "none.json: no such file, and not a digest"),
        (["plan", "fleet.yaml", "--out", "no/such/plan.json"], "there is no folder no/such"),
        (["plan", "fleet.yaml", "--out", "."], ".: is a folder"),
        (["plan", "fleet.yaml", "--out", "/dev/null"], "/dev/null: is not a file, and would be replaced by one"),
        (["inventory", "--tenant", "--csv", "/dev/null"], "/dev/null: is not a file"),
        (["inventory", "--tenant", "--csv", "-", "-o", "json"], "--csv - and -o json both print on standard output"),
        (["inventory", "--tenant", "--csv", "-", "--summary"], "--csv - and --summary both print"),
        (["inventory", "--management-group", ""], "--management-group: is empty"),
        (["inventory", "--subscription", "prod-eu", "--subscription", " "], "--subscription: is empty"),
        (["verify", "fleet.yaml", "--evidence", "no/such/ev.json"], "there is no folder no/such"),
        (["report", "9f31c2"], "PREFECT_API_URL names no server"),
        (["report", "plan.json"], "plan.json: "),
        (["report", "report.json", "--html", "no/such/folder.html"], "there is no folder no/such"),
    ],
)
def test_bad_input_is_one_clear_error_and_exit_code_2(words: list[str], message: str) -> None:
    result = aks_entra(*words)

    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.count("Error: ") == 1
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_wrong_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKS_ENTRA_POLL_INTERVAL", "often")
    with pytest.raises(Refused, match="AKS_ENTRA_POLL_INTERVAL: Input should be a valid number"):
        read_settings()


def test_a_saved_plan_is_read_again() -> None:
    assert read_plan(Path("plan.json")) == fleet_plan(("all", (planned(posture("shop-01")),)))


def test_a_plan_that_was_changed_is_refused() -> None:
    Path("plan.json").write_text(Path("plan.json").read_text().replace("disable-local-accounts", "record-baseline"))
    with pytest.raises(Refused, match=r"plan\.json: "):
        read_plan(Path("plan.json"))


def test_a_file_that_is_not_text_is_not_a_plan() -> None:
    Path("plan.json").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="not UTF-8 text"):
        read_plan(Path("plan.json"))


def test_a_file_is_written_whole_and_evidence_is_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    write_new(file, "one", replace=False)
    with pytest.raises(Refused, match="evidence is never replaced"):
        write_new(file, "two", replace=False)
    write_new(file, "three", replace=True)

    assert file.read_text() == "three"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fleet.yaml", "new.json", "plan.json", "report.json"]


def test_evidence_comes_from_files_and_folders() -> None:
    Path("kept").mkdir()
    Path("kept/one.json").write_text(dump_report(every_verdict()))
    Path("kept/other.json").write_text('{"kind": "something else"}')
    Path("kept/list.json").write_text("[]")
    Path("kept/notes.txt").write_text("not read")

    for paths in ([Path("kept")], [Path("kept/one.json")], [Path("kept"), Path("kept")]):
        records = asyncio.run(gather(paths, Settings()))
        assert {record.cluster for record in records} == {cluster("shop-01").key}
        assert Sighting.ACCOUNTS_OFF in {record.sighting for record in records}
        logged = [record for record in records if record.source != "one.json"]
        assert [(one.sighting, one.source) for one in logged] == [
            (Sighting.ACCOUNTS_ON, "activity log: handed out to dana@contoso.com")
        ]


def test_our_own_tries_come_from_the_same_files() -> None:
    tried = CredentialTried(
        at="2026-11-24T08:00:00Z", credential=Credential.STATIC_TOKEN, moment=Moment.BEFORE, status=200, ca=""
    )
    first, second = cluster("shop-01"), cluster("shop-02")
    verdict = Verdict(cluster=first, outcome=Outcome.FAILED, because=("",), evidence=(tried,))
    Path("kept").mkdir()
    for name in ("one", "copy"):
        Path(f"kept/{name}.json").write_text(dump_report(replace(every_verdict(), verdicts=(verdict,))))
    found = asyncio.run(own_calls([Path("kept")], Settings(), (first, second)))
    assert found == {first.key: (tried,), second.key: ()}


def test_the_settings_name_a_folder_of_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert evidence_in(None, Settings()).read == ()
    Path("kept").mkdir()
    Path("kept/one.json").write_text(dump_report(every_verdict()))
    monkeypatch.setenv("AKS_ENTRA_EVIDENCE_DIR", "kept")

    assert [report.name for _, report in evidence_in(None, Settings()).read] == ["prod"]


NEWER = '{"kind": "aks-entra/report", "version": 2, "report": {"verdicts": [{"cluster": "%s"}]}}'


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("{", ""),
        ('{"kind": "aks-entra/report"}', ""),
        ('{"kind": "aks-entra/report", "report": {}}', ""),
        (NEWER % cluster("shop-02").resource_id, cluster("shop-02").key),
    ],
)
def test_evidence_that_cannot_be_read_is_named_and_makes_its_clusters_unknown(
    text: str, of: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("kept").mkdir()
    Path("kept/one.json").write_text(text)
    Path("kept/two.json").write_text(dump_report(every_verdict()))
    records = asyncio.run(gather([Path("kept")], Settings()))

    lost = [one for one in records if one.sighting is Sighting.UNREADABLE]
    assert [(one.cluster, one.source) for one in lost] == [(of, "kept/one.json")]
    assert Sighting.ACCOUNTS_OFF in {one.sighting for one in records}, "the other report is read"
    assert "kept/one.json cannot be read: this " in capsys.readouterr().err
    with pytest.raises(Refused, match=r"kept/one\.json: "):
        asyncio.run(gather([Path("kept/one.json")], Settings()))


def test_a_file_of_evidence_that_is_not_text_is_named_too() -> None:
    Path("kept").mkdir()
    Path("kept/one.json").write_bytes(b"\xff\xfe")
    assert [str(one) for one in evidence_in([Path("kept")], Settings()).unread] == [
        "kept/one.json cannot be read: not UTF-8 text"
    ]


def test_a_rollback_continues_without_prefects_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = "http://127.0.0.1:9/api"
    monkeypatch.setenv("PREFECT_API_URL", nobody)
    with temporary_settings({PREFECT_API_URL: nobody, PREFECT_CLIENT_MAX_RETRIES: 0}):
        with pytest.raises(Refused, match="cannot be read"):
            asyncio.run(gather(None, Settings()))

        assert asyncio.run(gather(None, Settings(), way_back=True)) == ()
    assert "cannot be read: ConnectError: continuing without it" in capsys.readouterr().err


def test_the_error_of_a_server_that_asks_for_authentication_says_what_to_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    refused = httpx.Response(401, request=httpx.Request("GET", "http://127.0.0.1:4200/api"))
    error = unreachable(httpx.HTTPStatusError("401", request=refused.request, response=refused))
    assert "asks for authentication" in error.message
    assert error.remedy.startswith("export its PREFECT_API_AUTH_STRING")


def test_an_unreachable_server_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://me:secret@prefect.example/api")

    error = str(unreachable(OSError("refused me:secret")))

    assert "http://prefect.example/api" in error
    assert "secret" not in error


def test_old_kubeconfigs_are_never_repeated() -> None:
    Path("binary").write_bytes(b"\xff token: hunter2")
    Path("large").write_text("token: hunter2\n" * 100_000)

    for file, message in (("binary", "is not UTF-8 text"), ("large", "is too large to be a kubeconfig")):
        result = aks_entra("verify", "plan.json", "--old-kubeconfig", f"shop-01={file}")
        assert result.exit_code == 2
        assert message in result.stderr
        assert "hunter2" not in result.output


def test_a_report_in_every_form() -> None:
    files = {kind: f"r.{kind}" for kind in ("html", "junit", "sarif", "csv", "json")}
    result = aks_entra("report", "report.json", *(word for kind, file in files.items() for word in (f"--{kind}", file)))

    assert result.exit_code == 0
    assert result.stdout.startswith("CLUSTER ")
    assert result.stderr == "".join(f"{kind}: {file}\n" for kind, file in files.items())
    for file in files.values():
        assert every_verdict().digest in Path(file).read_text()
    assert json.loads(Path("r.json").read_text()) == json.loads(Path("report.json").read_text())


def test_a_report_on_standard_output() -> None:
    assert aks_entra("report", "report.json", "--csv", "-").stdout.startswith("fleet,cluster,")
    assert json.loads(aks_entra("report", "report.json", "-o", "json").stdout)["digest"] == every_verdict().digest


def test_detailed_exit_codes_mean_what_they_mean_in_terraform() -> None:
    assert aks_entra("plan", "none.yaml").exit_code == 2
    assert aks_entra("plan", "none.yaml", "--detailed-exitcode").exit_code == 1
    assert aks_entra("plan", "--detailed-exitcode").exit_code == 1
    assert aks_entra("plan").exit_code == 2


def test_an_error_of_azure_names_the_line_of_the_file() -> None:
    for field, said, where in (
        ("clusters[0].subscription", "no such", "fleet.yaml:3: clusters[0].subscription: no such"),
        ("admin_groups[0].name", "no such", "fleet.yaml:4: target.admin_groups[0].name: no such"),
        ("admin_groups[0]", "names no group", "fleet.yaml:4: target.admin_groups[0]: names no group"),
        ("rollout", "no group takes a", "fleet.yaml:1: rollout: no group takes a"),
        ("", "`az login` first", "`az login` first"),
    ):
        with pytest.raises(Refused) as caught, located(Path("fleet.yaml")):
            raise Refused(said, field=field)
        assert str(caught.value) == where


def test_an_error_of_azure_names_the_option() -> None:
    for field, where in (
        ("clusters[0].subscription", "--subscription: no such"),
        ("clusters[0].resource_group", "--resource-group: no such"),
        ("clusters[0].tags", "--tag: no such"),
    ):
        with pytest.raises(Refused) as caught, located(None):
            raise Refused("no such", field=field)
        assert str(caught.value) == where


def test_a_file_that_was_removed_has_no_lines() -> None:
    for gone in (Path("gone.yaml"), Path("-")):
        with pytest.raises(Refused) as caught, located(gone):
            raise Refused("no such", field="clusters[0].name")
        assert str(caught.value) == f"{gone}: clusters[0].name: no such"
