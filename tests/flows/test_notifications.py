"""People are told what happens: a webhook of theirs gets the message, with the link to the gate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from pydantic import SecretStr

from aks_entra import prefect_client
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from aks_entra.prefect_client import events, notifications
from azure_sandbox.cluster.real.process import free_port
from tests.support.patience import SOON
from tests.support.sent_events import sent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.conftest import Ended, PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
NIGHT = ("--notify", "custom-webhook/night")


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, asyncio.Queue[dict[str, str]]]]:
    """An HTTP server on this machine. Gives its URL and what is posted to it."""
    posted: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        await posted.put(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/", posted
    finally:
        await runner.cleanup()


async def told(posted: asyncio.Queue[dict[str, str]]) -> dict[str, str]:
    async with asyncio.timeout(SOON):
        return await posted.get()


async def make_blocks(url: str) -> None:
    """Make a block that can notify and one that cannot, each with the name `night`."""
    said = {"subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="night", url=url, json_data=said, headers=None, cookies=None)
    await block.save("night")
    await Webhook(url=SecretStr(url)).save("night")


async def test_a_webhook_is_told_of_a_gate_with_its_link_and_of_break_glass_and_what_happened_are_events(
    stack: PrefectStack, until: Until, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.yaml"

    async def deploy(runs: dict[str, Any], *words: str) -> Ended:
        file.write_text(json.dumps({**stack.fleet("told"), "runs": runs}))
        return await stack.aks_entra("deploy", str(file), "--detailed-exitcode", *words)

    with stack.inside():
        async with listener() as (url, posted):
            await make_blocks(url)
            page = f"{stack.api.removesuffix('/api')}/v2/blocks/catalog/slack-webhook/create"
            for block, why in (
                ("slack-webhook/nobody", "the Prefect server has no such block"),
                ("slack-webhook/nobody", page),
                ("webhook/night", "a block of type webhook cannot notify"),
            ):
                refused = await deploy({"migrate": {}}, "--notify", block)
                assert (refused.exit_code, why in refused.stderr) == (1, True), refused.output
            async with somebodys_automation("aks-entra drift"):
                refused = await deploy({"migrate": {}}, *NIGHT)
                assert "an automation 'aks-entra drift' exists" in refused.stderr

            made = await deploy({"migrate": {}}, *NIGHT, "--yes")
            assert made.exit_code == 2, made.output
            assert "+ aks-entra gate waits: create, tells custom-webhook/night" in made.stdout
            again = await deploy({"migrate": {}}, *NIGHT, "-o", "json")
            assert again.exit_code == 0, again.output
            assert {one["change"] for one in json.loads(again.stdout)["changes"]} == {"unchanged"}

            await a_gated_migration_is_told(until, posted)
            await break_glass_is_told(posted)
            assert posted.empty()

            assert (await deploy({}, "--yes")).exit_code == 2
            assert len(await prefect_client.found_notifications()) > 1  # what nobody asked to change stays
            await switch_off("aks-entra drift")
            off = await deploy({}, *NIGHT)
            assert (off.exit_code, "somebody switched aks-entra drift off" in off.stderr) == (0, True), off.output
            pruned = await deploy({}, "--prune", "--yes")
            assert (pruned.exit_code, "- aks-entra gate waits: remove" in pruned.stdout) == (2, True), pruned.output
            assert await prefect_client.found_notifications() == ()


async def a_gated_migration_is_told(until: Until, posted: asyncio.Queue[dict[str, str]]) -> None:
    async with get_client() as client:
        deployment = await client.read_deployment_by_name("migrate-fleet/told")
        run = await client.create_flow_run_from_deployment(deployment.id)
    waiting = await until(run.id, lambda now: now.gate is not None)
    message = await told(posted)
    assert message["subject"] == "An approval is needed: the gate before stage all of fleet told"
    assert waiting.gate.page in message["body"]
    assert f"aks-entra approve {str(run.id)[:8]} --plan {prefect_client.short(waiting.gate.plan)}" in message["body"]

    said = {"approver": "dana", "reason": "CHG-1042"}
    await prefect_client.decide(str(run.id), waiting.gate.plan, decision="approve", **said)
    ended = await until(run.id, lambda now: now.run.ended)
    assert ended.run.completed, ended.run.message
    found = await sent(
        events.fleet_id("told"),
        *(events.GATE_WAITING, events.GATE_APPROVED, events.STAGE_STARTED, events.STAGE_ENDED, events.VERDICT_GIVEN),
    )
    assert found[events.GATE_APPROVED]["payload"]["approver"] == "dana"
    assert found[events.STAGE_ENDED]["resource"][events.RESULT] == "passed"
    assert found[events.VERDICT_GIVEN]["resource"][events.OUTCOME] == "verified"
    assert found[events.VERDICT_GIVEN]["resource"]["prefect.resource.name"] == "told/one"
    for one in found.values():
        (by,) = [it for it in one["related"] if it["prefect.resource.role"] == "flow-run"]
        assert one["payload"]["page"].endswith(by["prefect.resource.id"].removeprefix("prefect.flow-run."))


async def break_glass_is_told(posted: asyncio.Queue[dict[str, str]]) -> None:
    cluster = ClusterId(subscription_id="s", resource_group="told", name="nowhere")
    opening = Opening(until="2099-01-01T00:00:00Z", since="2026-11-27T14:00:00Z", reason="INC-77")
    record = OpeningRecord(cluster=cluster.resource_id, opening=opening, uid="", at=opening.since)
    await prefect_client.store_opening(record)
    await prefect_client.store_opening(record.over(opening.since, "it was a test"))
    message = await told(posted)
    assert message["subject"] == "Break-glass: local accounts of told/nowhere are open"
    assert "until 2099-01-01T00:00:00Z" in message["body"]
    found = await sent(events.cluster_id(cluster.key), events.BREAK_GLASS_OPENED, events.BREAK_GLASS_CLOSED)
    assert found[events.BREAK_GLASS_CLOSED]["payload"]["because"] == ["it was a test"]


@asynccontextmanager
async def somebodys_automation(name: str) -> AsyncIterator[None]:
    """An automation with a name of ours that we did not make."""
    made = next(one for one in notifications.in_files() if one.name == name)
    async with get_client() as client:
        there = await client.create_automation(made.model_copy(update={"tags": []}))
        yield
        await client.delete_automation(there)


async def switch_off(name: str) -> None:
    async with get_client() as client:
        (there,) = await client.read_automations_by_name(name)
        await client.pause_automation(there.id)
