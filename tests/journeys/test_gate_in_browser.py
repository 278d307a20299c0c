"""A person decides at a gate in Prefect's own page, with a real Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.support.local_installation import ROTATION, SHOP, LocalInstallation, local_installation
from tests.support.patience import SOON

if TYPE_CHECKING:
    from tests.support.terminal import Terminal

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: nobody looked at the gate's page"),
]
PATIENT = SOON * 1000  # milliseconds
ALONE = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)
"""The options of a browser that can reach only this machine."""
WORLD = f"""\
{SHOP}          - {{name: approved, nodes: 1, identity: none}}
          - {{name: rejected, nodes: 1, identity: none}}
"""
FLEET = """\
version: 1
name: {name}
clusters:
  - {{subscription: prod-eu, resource_group: shop-weu, name: {name}}}
target:
  admin_groups: [{{name: aks-admins}}]
  rotation: {rotation}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    tmp_path_factory: pytest.TempPathFactory, database: Path, python: Path
) -> AsyncIterator[LocalInstallation]:
    folder = tmp_path_factory.mktemp("installation")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    quick = {"AKS_ENTRA_POLL_INTERVAL": "0.3", "AKS_ENTRA_LOOK_INTERVAL": "0.3", "AKS_ENTRA_GROUP_READ_GAP": "0.1"}
    async with local_installation(
        world, folder, pace=1000, settings=quick, database=database, python=python
    ) as installation:
        yield installation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        expect.set_options(timeout=PATIENT)
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ALONE), timeout=PATIENT)
        yield started
        await started.close()


async def planned(terminal: Terminal, folder: Path, name: str, *, rotation: str = "at-once") -> tuple[Path, str]:
    """Return a plan file, and the short form of its digest."""
    fleet, plan = folder / f"{name}-{rotation}.yaml", folder / f"{name}-{rotation}.json"
    fleet.write_text(FLEET.format(name=name, rotation=rotation))
    await terminal.run(f"aks-entra plan {fleet} --out {plan}")
    return plan, json.loads(plan.read_text())["digest"].removeprefix("sha256:")[:12]


async def started(terminal: Terminal, plan: Path) -> tuple[str, str]:
    run = json.loads(await terminal.run(f"aks-entra migrate {plan} --no-wait -o json"))
    return run["run"], run["page"]


async def opened(browser: Browser, installation: LocalInstallation) -> Page:
    """Open Prefect's page in a new session. It asks for the string of `aks-entra up` and refuses a wrong one."""
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENT)
    await page.goto(f"{installation.api.removesuffix('/api')}/deployments")
    asked = page.get_by_placeholder("admin:pass")
    await asked.fill("admin:pass")
    await page.get_by_role("button", name="Login").click()
    await expect(page.get_by_text("Authentication failed").first).to_be_visible()
    await expect(page.get_by_text("migrate-fleet")).to_have_count(0)
    await asked.fill(installation.auth)
    await page.get_by_role("button", name="Login").click()
    await expect(asked).to_have_count(0)
    return page


async def at_the_gate(page: Page, address: str) -> Locator:
    """Open the run's page, wait until it is suspended, press Resume, and return the dialog."""
    await page.goto(address)
    await expect(page.get_by_text("Suspended").first).to_be_visible()
    await page.get_by_role("button", name="Resume").first.click()
    dialog = page.locator(".p-modal")
    await expect(dialog.get_by_text("Decision", exact=True)).to_be_visible()
    return dialog


async def fill(dialog: Locator, **said: str) -> None:
    for name, text in said.items():
        label = dialog.page.get_by_text(name.capitalize(), exact=True)
        field = dialog.locator(".schema-form-property", has=label).locator("textarea")
        await field.click()
        await dialog.page.keyboard.press("Control+A")
        await dialog.page.keyboard.type(text)


async def submit(dialog: Locator) -> dict[str, Any]:
    """Press Submit, and return the response of Prefect's server.

    SQLite has one writer. While it is busy, the server answers 503, the page says so, and the person presses again.
    """
    while True:
        async with dialog.page.expect_response(lambda answer: answer.url.endswith("/resume")) as answered:
            await dialog.get_by_role("button", name="Submit").click()
        answer = await answered.value
        if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
            found: dict[str, Any] = await answer.json()
            return found


async def state_of(installation: LocalInstallation, run: str) -> str:
    async with installation.prefect() as http:
        return str((await http.get(f"/flow_runs/{run}")).raise_for_status().json()["state"]["name"])


async def test_a_person_reads_the_plan_and_approves_exactly_that_one(
    installation: LocalInstallation, browser: Browser, tmp_path: Path
) -> None:
    terminal = installation.terminal
    _, stale = await planned(terminal, tmp_path, "approved", rotation="later")
    plan, digits = await planned(terminal, tmp_path, "approved")
    run, address = await started(terminal, plan)
    page = await opened(browser, installation)
    dialog = await at_the_gate(page, address)

    for sentence in (
        *("Before stage", f"Plan {digits}", "shop-weu/approved", "enable Entra (one way)", "disable local accounts"),
        *("rotate certificates (one way): API, workloads and ingress may be down", "no person's sign-in is proven yet"),
    ):
        await expect(dialog).to_contain_text(sentence)
    cut_off = "[...document.querySelectorAll('.p-modal article, .p-modal article *')].filter("
    cut_off += "it => it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).display !== 'inline').length"
    assert await page.evaluate(cut_off) == 0

    await dialog.get_by_role("button", name="Submit").click()
    for field in ("decision", "plan", "approver", "reason"):
        await expect(dialog).to_contain_text(f"'{field}' is a required property")
    await fill(dialog, decision="approve", plan=stale, approver="dana@contoso.com", reason="CHG-1042")
    answer = await submit(dialog)
    assert answer["status"] == "REJECT"
    assert "Validation failed for field 'plan'" in answer["details"]["reason"]
    await expect(page.get_by_text("Validation failed for field 'plan'").last).to_be_visible()
    assert "waits for plan" in await terminal.refused(f"aks-entra approve {run[:8]} --plan {stale} --reason CHG-1042")
    async with installation.prefect() as http:
        told = {"decision": "approve", "plan": stale, "approver": "dana@contoso.com", "reason": "CHG-1042"}
        asked = await http.post(f"/flow_runs/{run}/resume", json={"run_input": told})
    assert asked.json()["status"] == "REJECT"
    assert await state_of(installation, run) == "Suspended"
    assert installation.requests.writes() == []

    await fill(dialog, plan=digits)
    assert (await submit(dialog))["status"] == "ACCEPT"
    said = await terminal.run(f"aks-entra migrate --follow {run} -o json")
    assert json.loads(said)["report"]["verdicts"][0]["outcome"] == "verified"
    assert len(installation.requests.matching("POST", "approved", ROTATION)) == 1
    await page.close()


async def test_a_person_rejects_and_nothing_was_written(
    installation: LocalInstallation, browser: Browser, tmp_path: Path
) -> None:
    before = len(installation.requests.writes())
    plan, digits = await planned(installation.terminal, tmp_path, "rejected")
    run, address = await started(installation.terminal, plan)
    page = await opened(browser, installation)
    dialog = await at_the_gate(page, address)
    await fill(dialog, decision="Reject", plan=digits, approver="dana@contoso.com", reason="not this week")
    assert (await submit(dialog))["status"] == "ACCEPT"
    await expect(page.get_by_text("Rejected").first).to_be_visible()
    outcome = await installation.terminal.type(f"aks-entra migrate --follow {run}")
    assert outcome.status == 1
    assert "rejected by dana@contoso.com (not this week)" in outcome.out + outcome.err
    assert len(installation.requests.writes()) == before
    await page.close()
