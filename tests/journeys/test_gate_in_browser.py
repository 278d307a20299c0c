"""A person decides at a gate in Prefect's own pages, V2 and V1, with a real Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.support.local_installation import (
    ROTATION,
    SHOP,
    LocalInstallation,
    coordinator_and_batch,
    local_installation,
)
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
WORLD = SHOP + "".join(
    f"          - {{name: {decision}-{ui}, nodes: 1, identity: none}}\n"
    for decision in ("approved", "rejected")
    for ui in ("v1", "v2")
)
FLEET = """\
version: 1
name: {name}
clusters:
  - {{subscription: prod-eu, resource_group: shop-weu, name: {name}}}
target:
  admin_groups: [{{name: aks-admins}}]
  rotation: {rotation}
"""
APPROVER = "dana@contoso.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ui:
    """How one of Prefect's pages differs from the other."""

    name: str
    path: str
    dialog: str
    text: str  # the element with the page of the gate in the dialog
    confirm: str  # the button of the dialog
    refusal: str  # of a wrong authentication string

    async def at_the_gate(self, page: Page, address: str) -> Locator:
        """Open the run's page, wait until it is suspended, choose Resume, and return the dialog."""
        await page.goto(address)
        await expect(page.get_by_text("Suspended").first).to_be_visible()
        if self.name == "v2":
            await page.get_by_role("button", name="Open menu").first.click()
            await page.get_by_role("menuitem", name="Resume").click()
        else:
            await page.get_by_role("button", name="Resume").first.click()
        dialog = page.locator(self.dialog)
        await expect(self.field(dialog, "Decision")).to_be_visible()
        return dialog

    def field(self, dialog: Locator, label: str) -> Locator:
        """Return the text area of a field. V1 does not connect a label with its text area."""
        if self.name == "v2":
            return dialog.get_by_label(label)
        named = dialog.page.get_by_text(label, exact=True)
        return dialog.locator(".schema-form-property", has=named).locator("textarea")

    async def fill(self, dialog: Locator, **said: str) -> None:
        for name, text in said.items():
            await self.field(dialog, name.capitalize()).click()
            await dialog.page.keyboard.press("Control+A")
            await dialog.page.keyboard.type(text)

    async def submit(self, dialog: Locator) -> dict[str, Any]:
        """Press the button, and return the response of Prefect's server.

        SQLite has one writer. While it is busy, the server answers 503, the page says so, and the person presses again.
        """
        while True:
            async with dialog.page.expect_response(lambda answer: answer.url.endswith("/resume")) as answered:
                await dialog.get_by_role("button", name=self.confirm).click()
            answer = await answered.value
            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                found: dict[str, Any] = await answer.json()
                return found


V2 = Ui(
    name="v2",
    path="/v2",
    dialog="[role=dialog]",
    text="[role=dialog] .prose",
    confirm="Resume",
    refusal="Invalid credentials",
)
V1 = Ui(
    name="v1",
    path="",
    dialog=".p-modal",
    text=".p-modal article",
    confirm="Submit",
    refusal="Authentication failed",
)


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


async def opened(browser: Browser, installation: LocalInstallation, ui: Ui) -> tuple[Page, list[str]]:
    """Open a page in a new session. It asks for the string of `aks-entra up` and refuses a wrong one.

    Also return the list of requests to other machines, which grows.
    """
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENT)
    base, foreign = installation.api.removesuffix("/api"), list[str]()
    page.on("response", lambda answer: foreign.append(answer.url) if base not in answer.url else None)
    page.on("requestfailed", lambda asked: foreign.append(asked.url) if base not in asked.url else None)
    await page.goto(f"{base}{ui.path}/deployments")
    asked = page.get_by_placeholder("admin:pass")
    await asked.fill("admin:pass")
    await page.get_by_role("button", name="Login").click()
    await expect(page.get_by_text(ui.refusal).first).to_be_visible()
    # V1 keeps the string until it is refused, and then forgets whatever it keeps: also one that was typed meanwhile
    await page.wait_for_function("localStorage.getItem('prefect-password') === null")
    await expect(page.get_by_text("migrate-fleet")).to_have_count(0)
    await asked.fill(installation.auth)
    await page.get_by_role("button", name="Login").click()
    await expect(asked).to_have_count(0)
    return page, foreign


async def state_of(installation: LocalInstallation, run: str) -> str:
    async with installation.prefect() as http:
        return str((await http.get(f"/flow_runs/{run}")).raise_for_status().json()["state"]["name"])


async def logs_of(installation: LocalInstallation, *runs: object) -> str:
    """Return the logs of flow runs as one text. The list in V2 holds only the lines that are in sight."""
    wanted = {"logs": {"flow_run_id": {"any_": [str(run) for run in runs]}}, "limit": 200}
    async with installation.prefect() as http:
        found = (await http.post("/logs/filter", json=wanted)).raise_for_status().json()
    return "\n".join(one["message"] for one in found)


@pytest.mark.parametrize("ui", [V2, V1], ids=lambda ui: ui.name)
async def test_a_person_reads_the_plan_and_approves_exactly_that_one(
    installation: LocalInstallation, browser: Browser, tmp_path: Path, ui: Ui
) -> None:
    terminal, name = installation.terminal, f"approved-{ui.name}"
    _, stale = await planned(terminal, tmp_path, name, rotation="later")
    plan, digits = await planned(terminal, tmp_path, name)
    before = len(installation.requests.writes())
    run, link = await started(terminal, plan)
    base = installation.api.removesuffix("/api")
    assert link == f"{base}/v2/runs/flow-run/{run}"  # the page that Prefect opens by default
    page, foreign = await opened(browser, installation, ui)
    dialog = await ui.at_the_gate(page, f"{base}{ui.path}/runs/flow-run/{run}")

    for sentence in (
        *("Before stage", f"Plan {digits}", f"shop-weu/{name}", "enable Entra (one way)", "disable local accounts"),
        *("rotate certificates (one way): API, workloads and ingress may be down", "no person's sign-in is proven yet"),
        *("Type approve or reject.", f"Type {digits}."),
    ):
        await expect(dialog).to_contain_text(sentence)
    await expect(dialog).not_to_contain_text("**")
    cut_off = f"[...document.querySelectorAll('{ui.text}, {ui.text} *')].filter("
    cut_off += "it => it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).display !== 'inline').length"
    assert await page.evaluate(cut_off) == 0

    await dialog.get_by_role("button", name=ui.confirm).click()
    await expect(page.get_by_text("'decision' is a required property").first).to_be_visible()
    await ui.fill(dialog, decision="approve", plan=stale, approver=APPROVER, reason="CHG-1042")
    answer = await ui.submit(dialog)
    assert answer["status"] == "REJECT"
    assert "Validation failed for field 'plan'" in answer["details"]["reason"]
    await expect(page.get_by_text("Validation failed for field 'plan'").last).to_be_visible()
    assert "waits for plan" in await terminal.refused(f"aks-entra approve {run[:8]} --plan {stale} --reason CHG-1042")
    async with installation.prefect() as http:
        told = {"decision": "approve", "plan": stale, "approver": APPROVER, "reason": "CHG-1042"}
        asked = await http.post(f"/flow_runs/{run}/resume", json={"run_input": told})
    assert asked.json()["status"] == "REJECT"
    assert await state_of(installation, run) == "Suspended"
    assert len(installation.requests.writes()) == before

    await ui.fill(dialog, plan=digits)
    assert (await ui.submit(dialog))["status"] == "ACCEPT"
    said = await terminal.run(f"aks-entra migrate --follow {run} -o json")
    assert json.loads(said)["report"]["verdicts"][0]["outcome"] == "verified"
    assert len(installation.requests.matching("POST", name, ROTATION)) == 1

    await page.goto(f"{base}{ui.path}/runs/flow-run/{run}?tab=Logs")
    await expect(page.get_by_text("this run carries out plan").first).to_be_visible()
    _, batch = await coordinator_and_batch(installation, f"plan:{digits}")
    logs = await logs_of(installation, run, batch["id"])
    assert f"{digits} was approved by {APPROVER}, a claim (CHG-1042)" in logs
    assert f"shop-weu/{name} · look: these steps are left: enable Entra, prove sign-in" in logs
    assert foreign == []
    await page.close()


@pytest.mark.parametrize("ui", [V2, pytest.param(V1, marks=pytest.mark.long)], ids=lambda ui: ui.name)
async def test_a_person_rejects_and_nothing_was_written(
    installation: LocalInstallation, browser: Browser, tmp_path: Path, ui: Ui
) -> None:
    before = len(installation.requests.writes())
    plan, digits = await planned(installation.terminal, tmp_path, f"rejected-{ui.name}")
    run, _ = await started(installation.terminal, plan)
    page, _ = await opened(browser, installation, ui)
    address = f"{installation.api.removesuffix('/api')}{ui.path}/runs/flow-run/{run}"
    dialog = await ui.at_the_gate(page, address)
    await ui.fill(dialog, decision="Reject", plan=digits, approver=APPROVER, reason="not this week")
    assert (await ui.submit(dialog))["status"] == "ACCEPT"
    outcome = await installation.terminal.type(f"aks-entra migrate --follow {run}")
    assert outcome.status == 1
    assert f"rejected by {APPROVER}, a claim (not this week)" in outcome.out + outcome.err
    await page.goto(address)
    await expect(page.get_by_text("Rejected", exact=True).first).to_be_visible()  # a hidden tag names the fleet
    assert len(installation.requests.writes()) == before
    await page.close()
