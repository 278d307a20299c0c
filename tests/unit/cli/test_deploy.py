"""`deploy` and `request`: what is wrong is one error, before any server is asked; what changes is shown to people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from typer.testing import CliRunner, Result

from aks_entra.cli import app
from aks_entra.cli.output import emit
from aks_entra.core.deployments import Automation, Deployment, changes
from aks_entra.report.deployment_changes import document, render

FLEET = "version: 1\nname: prod\nclusters: [{subscription: prod-eu}]\ntarget: {admin_groups: [{name: aks-admins}]}\n"
FOUND = Deployment(
    flow="migrate-fleet",
    name="prod",
    fleet='{"clusters": [{"subscription": "prod-eu"}], "name": "prod", "version": 1}',
    schedule="0 2 * * 6 UTC",
    pool="aks-entra",
    queue="default",
)


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    Path("fleet.yaml").write_text(FLEET)
    Path("again.yaml").write_text(FLEET)
    Path("bad.yaml").write_text(f'{FLEET}runs:\n  migrate: {{cron: "0 25 * * *"}}\n')


def aks_entra(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["deploy", "none.yaml"], "none.yaml: no such file"),
        (["deploy", "fleet.yaml", "bad.yaml"], "bad.yaml:6: runs.migrate.cron: `0 25 * * *` is not a cron schedule"),
        (["deploy", "fleet.yaml", "again.yaml"], "fleet.yaml and again.yaml both describe fleet prod"),
        (["deploy", "fleet.yaml", "--job-variable", "cpu"], "--job-variable cpu: not NAME=VALUE"),
        (["deploy", "fleet.yaml", "--notify", "slack-webhook"], "--notify slack-webhook: not TYPE/NAME"),
        (["deploy", "fleet.yaml", "--notify", "slack-webhook/a/b"], "--notify slack-webhook/a/b: not TYPE/NAME"),
        (["deploy", "fleet.yaml"], "no Prefect server answers at"),
        (["request", "prod", "--ticket", ""], "--ticket is empty"),
        (["request", "prod", "--ticket", "a\nb"], "--ticket: "),
        (["request", "prod", "--ticket", "C" * 300], "--ticket is longer than 256 characters"),
        (["request", "prod", "--ticket", "CHG-1", "--reason", "r" * 300], "--reason is longer than 256 characters"),
        (["request", "none.yaml", "--ticket", "CHG-1"], "none.yaml: no such file"),
        (["request", "bad.yaml", "--ticket", "CHG-1"], "bad.yaml:6: "),
        (["request", "fleet.yaml", "--ticket", "CHG-1", "--run", "verify"], "--run verify needs a deployed fleet"),
        (["request", "prod", "--ticket", "CHG-1"], "no Prefect server answers at"),
    ],
)
def test_bad_input_is_one_clear_error_and_exit_code_2(words: list[str], message: str) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        result = aks_entra(*words)
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.stderr.split())
        assert result.stderr.count("Error: ") == 1
        assert result.stdout == ""
        if words[0] == "deploy":
            assert aks_entra(*words, "--detailed-exitcode").exit_code == 1


def test_changes_are_shown_with_each_value_and_only_the_changed_lines_of_the_fleet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = replace(FOUND, schedule="", fleet=FOUND.fleet.replace("prod-eu", "prod-us"))
    gone = replace(FOUND, flow="inventory-fleet")
    new = replace(FOUND, flow="verify-fleet", event="aks-entra.fleet.verification-requested")
    made = changes([wanted, new], [FOUND, gone])
    emit(*render(made))
    assert capsys.readouterr().out.splitlines() == [
        "~ migrate-fleet/prod: update",
        "    fleet:",
        "       clusters:",
        "      -- subscription: prod-eu",
        "      +- subscription: prod-us",
        "       name: prod",
        "    schedule: 0 2 * * 6 UTC → none",
        (
            "+ verify-fleet/prod: create, runs at 0 2 * * 6 UTC and starts on the event "
            "aks-entra.fleet.verification-requested, in pool aks-entra (queue default)"
        ),
        "- inventory-fleet/prod: remove, the file no longer has it",
        "1 to create, 1 to update, 1 to remove",
    ]
    shown = document(made, applied=False, pages={"migrate-fleet/prod": "http://page"})
    assert [(one["deployment"], one["change"], one["page"]) for one in shown["changes"]] == [
        ("migrate-fleet/prod", "update", "http://page"),
        ("verify-fleet/prod", "create", ""),
        ("inventory-fleet/prod", "remove", ""),
    ]
    assert shown["changes"][0]["differences"][0]["after"]["clusters"] == [{"subscription": "prod-us"}]


def test_changes_of_notifications_say_whom_they_tell(capsys: pytest.CaptureFixture[str]) -> None:
    drift = Automation(name="aks-entra drift", events=("aks-entra.drift",), blocks=("slack-webhook/ops",), content="1")
    gone = replace(drift, name="aks-entra earlier")
    more = replace(drift, blocks=("email/night", "slack-webhook/ops"))
    new = replace(drift, name="aks-entra gate waits")
    silent = replace(drift, name="aks-entra dead runs", blocks=())
    made = changes([new, more, silent], [drift, gone, silent])
    emit(*render(made))
    assert capsys.readouterr().out.splitlines() == [
        "= aks-entra dead runs: unchanged, tells nobody",
        "~ aks-entra drift: update",
        "    blocks: slack-webhook/ops → email/night, slack-webhook/ops",
        "+ aks-entra gate waits: create, tells slack-webhook/ops",
        "- aks-entra earlier: remove, --notify does not ask for it",
        "1 to create, 1 to update, 1 unchanged, 1 to remove",
    ]
    shown = document(made, applied=True, pages={"aks-entra drift": "http://page"})
    assert shown["changes"][1] == {
        "automation": "aks-entra drift",
        "change": "update",
        "page": "http://page",
        "differences": [{"field": "blocks", "before": "slack-webhook/ops", "after": "email/night, slack-webhook/ops"}],
    }
