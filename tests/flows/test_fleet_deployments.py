"""A fleet is deployed by its file: run from the UI, by a schedule or by an event, it plans and waits at its gate."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.events import emit_event
from prefect.events.schemas.automations import AutomationCore
from prefect.states import Scheduled
from ruamel.yaml import YAML

from aks_entra import prefect_client
from aks_entra.host import server_auth
from aks_entra.prefect_client import fleet_deployments
from tests.support.patience import SOON
from tests.support.pipelines import PIPELINES, step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

    from tests.flows.conftest import Ended, PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
MONTHLY = "0 0 1 * *"


async def deploy(
    stack: PrefectStack, file: Path, name: str, runs: dict[str, Any], *words: str, group: str = "quiet"
) -> Ended:
    """Write a fleet file and type `aks-entra deploy`."""
    write(file, {**stack.fleet(group), "name": name, "runs": runs})
    return await stack.aks_entra("deploy", str(file), "--detailed-exitcode", *words)


def write(file: Path, fleet: dict[str, Any]) -> None:
    with file.open("w") as out:
        YAML(typ="safe", pure=True).dump(fleet, out)


async def read(name: str) -> DeploymentResponse:
    async with get_client() as client:
        return await client.read_deployment_by_name(name)


async def names_of(fleet: str) -> list[str]:
    return [one.full_name for one in await prefect_client.found_deployments(fleet)]


async def start(deployment: str) -> FlowRun:
    """Press *Run*: nothing is pasted."""
    found = await read(deployment)
    async with get_client() as client:
        return await client.create_flow_run_from_deployment(found.id)


async def run_of(deployment: str, wanted: Callable[[FlowRun], bool]) -> FlowRun:
    """Return a run of a deployment as soon as the server's services made it."""
    found = await read(deployment)
    async with asyncio.timeout(SOON), get_client() as client:
        while True:
            runs = await client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])), limit=50
            )
            if made := [run for run in runs if wanted(run)]:
                return made[0]
            await asyncio.sleep(0.2)  # services of the server make it: there is nothing else to wait for


async def run_after(deployment: str, known: frozenset[UUID]) -> UUID:
    """Return the run that something started since `known` was read."""
    return (await run_of(deployment, lambda one: one.id not in known and not one.auto_scheduled)).id


async def post_event(stack: PrefectStack, fleet: str, payload: dict[str, Any]) -> None:
    """Send an event as `curl` does: the API's string as basic authentication, and a CSRF token."""
    headers = {**server_auth.header(stack.auth), "Prefect-Csrf-Client": "tickets"}
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "aks-entra.fleet.requested",
        "resource": {"prefect.resource.id": f"aks-entra.fleet/{fleet}"},
        "payload": payload,
    }
    async with httpx.AsyncClient(base_url=stack.api, headers=headers, trust_env=False, timeout=SOON) as http:
        token = (await http.get("/csrf-token", params={"client": "tickets"})).raise_for_status().json()["token"]
        (await http.post("/events", json=[event], headers={"Prefect-Csrf-Token": token})).raise_for_status()


async def next_by_schedule(deployment: str, *known: UUID) -> FlowRun:
    """Let the scheduler's next run of a deployment begin now instead of next month."""
    run = await run_of(deployment, lambda one: one.auto_scheduled and one.id not in known)
    async with get_client() as client:
        await client.set_flow_run_state(run.id, Scheduled(), force=True)
    return run


async def question_of(run: UUID) -> str:
    """Return what the form at a run's gate asks. Prefect stores the form soon after it suspends the run."""
    async with asyncio.timeout(SOON), get_client() as client:
        state = (await client.read_flow_run(run)).state
        keys = state.state_details.run_input_keyset if state is not None else None
        assert keys is not None
        while True:
            stored = await client.filter_flow_run_input(
                run, key_prefix=keys["description"], limit=1, exclude_keys=set()
            )
            if stored:
                return str(json.loads(stored[0].value))
            await asyncio.sleep(0.2)  # nothing tells a test that the form is there


@asynccontextmanager
async def at_gate(until: Until, run: UUID) -> AsyncIterator[str]:
    """Wait until a run waits at its gate, and reject at the end. Gives the question at the gate."""
    waiting = await until(run, lambda now: now.gate is not None)
    question = await question_of(run)
    yield question
    await prefect_client.decide(str(run), waiting.gate.plan, decision="reject", approver="dana", reason="enough")
    await until(run, lambda now: now.run.ended)


async def test_a_fleet_is_deployed_run_without_json_changed_and_removed_by_its_file(
    stack: PrefectStack, until: Until, tmp_path: Path
) -> None:
    file, name = tmp_path / "fleet.yaml", "by-file"
    three = {
        "migrate": {"cron": MONTHLY, "timezone": "Europe/Amsterdam", "on_event": True},
        "verify": {},
        "inventory": {"on_event": True},
    }
    with stack.inside():
        shown = await deploy(stack, file, name, three, "--dry-run")
        assert (shown.exit_code, "3 to create" in shown.stdout) == (2, True), shown.output
        assert await names_of(name) == []

        assert (await deploy(stack, file, name, three, "--yes")).exit_code == 2
        assert await names_of(name) == [f"migrate-fleet/{name}", f"verify-fleet/{name}", f"inventory-fleet/{name}"]
        again = await deploy(stack, file, name, three, "-o", "json")
        assert again.exit_code == 0, again.output
        changes = json.loads(again.stdout)["changes"]
        assert {one["change"] for one in changes} == {"unchanged"}
        assert all(one["page"].startswith("http://127.0.0.1:") for one in changes)

        inventory = await start(f"inventory-fleet/{name}")
        assert (await until(inventory.id, lambda now: now.run.ended)).run.message == "2 clusters"

        fewer = {"migrate": {"cron": MONTHLY}, "inventory": {}}
        changed = await deploy(stack, file, name, fewer, "--yes", group="granted")
        assert changed.exit_code == 2
        for line in (
            f"schedule: {MONTHLY} Europe/Amsterdam → {MONTHLY} UTC",
            "+- resource_group: granted",
            "event: aks-entra.fleet.inventory-requested → none",
            f"- verify-fleet/{name}: remove, the file no longer has it",
        ):
            assert line in changed.stdout
        assert await names_of(name) == [f"migrate-fleet/{name}", f"inventory-fleet/{name}"]
        assert (await deploy(stack, file, name, fewer, group="granted")).exit_code == 0

        assert (await deploy(stack, file, name, {}, "--yes")).exit_code == 2
        assert await names_of(name) == []


async def test_only_what_deploy_made_is_changed_and_what_a_person_switched_off_stays_off(
    stack: PrefectStack, tmp_path: Path
) -> None:
    file, name, event = tmp_path / "fleet.yaml", "owned", "aks-entra.fleet.verification-requested"
    runs: dict[str, Any] = {"verify": {"cron": MONTHLY, "on_event": True}}
    with stack.inside():
        base = await read("verify-fleet/verify-fleet")
        async with get_client() as client:
            foreign = await client.create_deployment(base.flow_id, name="somebodys", entrypoint=base.entrypoint)
        refused = await deploy(stack, file, "somebodys", runs, "--yes")
        assert refused.exit_code == 1
        assert "exists, and `aks-entra deploy` did not make it" in refused.stderr
        taken = await deploy(stack, file, "on-request", runs, "--yes")
        assert f"{file}:" in taken.stderr
        assert "is the name of a deployment of prefect.yaml" in taken.stderr

        assert (await deploy(stack, file, name, runs, "--yes")).exit_code == 2
        made = await read(f"verify-fleet/{name}")
        async with get_client() as client:
            await client.update_deployment_schedule(made.id, made.schedules[0].id, active=False)
            await client.create_deployment_schedules(made.id, [(made.schedules[0].schedule, False)], slug="a-persons")
            (ours,) = await automations_of(made)
            seen = ours.model_dump(exclude={"id", "owner_resource"})
            await client.create_automation(AutomationCore.model_validate({**seen, "name": "a person's", "tags": []}))
            seen["trigger"]["threshold"] = 3
            await client.update_automation(ours.id, AutomationCore.model_validate({**seen, "enabled": False}))
        later = await deploy(stack, file, name, {"verify": {"cron": "0 0 2 1 *", "on_event": True}}, "--yes")
        assert f"event: {event} (changed by hand) → {event}" in later.stdout
        assert f"somebody paused verify-fleet/{name}" in later.stderr
        made = await read(f"verify-fleet/{name}")
        schedules = {one.slug: (one.schedule.model_dump()["cron"], one.active) for one in made.schedules}
        assert schedules == {fleet_deployments.SCHEDULE: ("0 0 2 1 *", False), "a-persons": (MONTHLY, False)}
        automations = {one.name: one for one in await automations_of(made)}
        assert (automations[ours.name].trigger.threshold, automations[ours.name].enabled) == (1, False)
        assert automations["a person's"].enabled
        assert (await deploy(stack, file, name, {}, "--yes")).exit_code == 2

        assert (await read("verify-fleet/somebodys")).id == foreign
        assert (await read("verify-fleet/verify-fleet")).schedules == base.schedules
        async with get_client() as client:
            await client.delete_deployment(foreign)
            await client.delete_automation(automations["a person's"].id)
        nowhere = await deploy(stack, file, name, runs, "--pool", "nowhere")
        assert "the Prefect server has no work pool nowhere" in nowhere.stderr
        wrong = await deploy(stack, file, name, runs, "--yes", "--job-variable", "command=rm")
        assert wrong.exit_code == 1
        assert f"verify-fleet/{name}: Prefect's server answered 422" in wrong.stderr
        assert "'command' was unexpected" in wrong.stderr


async def automations_of(deployment: DeploymentResponse) -> list[Any]:
    async with get_client() as client:
        return await client.read_resource_related_automations(f"prefect.deployment.{deployment.id}")


async def test_the_pipelines_deploy_each_file_and_remove_the_fleets_whose_file_is_gone(
    stack: PrefectStack, tmp_path: Path
) -> None:
    (tmp_path / "fleets").mkdir()
    for name in ("first", "second"):
        write(tmp_path / "fleets" / f"{name}.yaml", {**stack.fleet("quiet"), "name": name, "runs": {"inventory": {}}})
    script = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(PIPELINES[0], "Deploy"))
    with stack.inside():
        assert (await stack.execute(tmp_path, *script)).exit_code == 0
        assert await prefect_client.deployed_fleets() == ("first", "second")
        (tmp_path / "fleets" / "second.yaml").unlink()
        ended = await stack.execute(tmp_path, *script)
        assert (ended.exit_code, "- inventory-fleet/second: remove" in ended.stdout) == (0, True), ended.output
        assert await prefect_client.deployed_fleets() == ("first",)
        assert (await deploy(stack, tmp_path / "fleet.yaml", "first", {}, "--yes")).exit_code == 2


async def test_a_schedule_does_not_start_a_second_migration_while_the_first_waits_at_its_gate(
    stack: PrefectStack, until: Until, tmp_path: Path
) -> None:
    file, name = tmp_path / "fleet.yaml", "by-schedule"
    deployment = f"migrate-fleet/{name}"
    with stack.inside():
        assert (await deploy(stack, file, name, {"migrate": {"cron": MONTHLY}}, "--yes")).exit_code == 2
        first = await next_by_schedule(deployment)
        async with at_gate(until, first.id) as question:
            assert f"of fleet **{name}**" in question.replace("\\", "")
            assert "requested" not in question
            later = await prefect_client.overdue_schedules(now=datetime.now(UTC) + timedelta(days=70))
            (late,) = [one for one in later if one.deployment == deployment]
            assert late.because.startswith("has not run since"), "a run that waits at its gate has run"
            second = await next_by_schedule(deployment, first.id)
            ended = await until(second.id, lambda now: now.run.ended)
            assert (ended.run.state, ended.run.completed) == ("Skipped", True), ended.run.message
            assert f"({str(first.id)[:8]}) of fleet {name} waits at its gate" in ended.run.message
            kept = await deploy(stack, file, name, {}, "--yes")
            assert (kept.exit_code, f"({str(first.id)[:8]}) is not over" in kept.stderr) == (1, True), kept.output
            assert await names_of(name) == [deployment]
        assert stack.writes("quiet") == []
        assert (await deploy(stack, file, name, {}, "--yes")).exit_code == 2


async def test_a_request_by_command_or_by_http_waits_at_its_gate_and_a_bad_one_is_a_failed_run_that_says_why(
    stack: PrefectStack, until: Until, tmp_path: Path
) -> None:
    file, name = tmp_path / "fleet.yaml", "by-request"
    deployment = f"migrate-fleet/{name}"
    with stack.inside():
        unknown = await stack.aks_entra("request", name, "--ticket", "CHG-1042")
        assert (unknown.exit_code, f"no deployment {deployment}" in unknown.stderr) == (2, True), unknown.output
        assert (await deploy(stack, file, name, {"migrate": {}}, "--yes")).exit_code == 2
        deaf = await stack.aks_entra("request", name, "--ticket", "CHG-1042")
        assert (deaf.exit_code, f"no event starts {deployment}" in deaf.stderr) == (2, True), deaf.output
        assert (await deploy(stack, file, name, {"migrate": {"on_event": True}}, "--yes")).exit_code == 2

        asked = await stack.aks_entra("request", name, "--ticket", "CHG-1042", "--reason", "night shift", "-o", "json")
        assert asked.exit_code == 0, asked.output
        async with at_gate(until, UUID(json.loads(asked.stdout)["run"])) as question:
            assert "Somebody requested this run: ticket CHG-1042, night shift." in question
            busy = await stack.aks_entra("request", name, "--ticket", "CHG-1043")
            assert (busy.exit_code, "waits at its gate" in busy.stderr) == (2, True), busy.output

        known = await prefect_client.runs_begun(deployment)
        await post_event(stack, name, {"ticket": "CHG-1044"})
        async with at_gate(until, await run_after(deployment, known)) as question:
            assert "Somebody requested this run: ticket CHG-1044." in question

        for payload, why in (({"ticket": {"a": 1}}, "request.ticket"), ({"ticket": "x" * 100_000}, "request.payload")):
            known = await prefect_client.runs_begun(deployment)
            await post_event(stack, name, payload)
            ended = await until(await run_after(deployment, known), lambda now: now.run.ended)
            assert (ended.run.state, why in ended.run.message) == ("Failed", True), ended.run.message
        assert stack.writes("quiet") == []
        assert (await deploy(stack, file, name, {}, "--yes")).exit_code == 2


async def test_a_fleet_that_an_event_brings_waits_at_its_gate_and_a_bad_one_says_why(
    stack: PrefectStack, until: Until
) -> None:
    deployment = "migrate-fleet/on-request"
    brought = {**stack.fleet("quiet"), "name": "brought"}
    with stack.inside():
        known = await prefect_client.runs_begun(deployment)
        emit(brought, ticket="CHG-1045")
        async with at_gate(until, await run_after(deployment, known)) as question:
            assert "Somebody requested this run: ticket CHG-1045." in question
        known = await prefect_client.runs_begun(deployment)
        emit({"version": 2})
        ended = await until(await run_after(deployment, known), lambda now: now.run.ended)
        assert (ended.run.state, "fleet.name" in ended.run.message) == ("Failed", True), ended.run.message
        assert stack.writes("quiet") == []


def emit(fleet: dict[str, Any], **said: str) -> None:
    """Send an event that brings a fleet, with Prefect's client."""
    resource = {"prefect.resource.id": "aks-entra.fleet.brought"}
    emit_event("aks-entra.fleet.requested", resource=resource, payload={"fleet": fleet, **said})
