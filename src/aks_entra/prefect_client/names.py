"""Names on Prefect's server: deployments, tags, artifact keys, pages. This module sends no request."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from prefect.settings import get_current_settings

from aks_entra.core.cluster import ClusterId
from aks_entra.text.safe import for_name

MIGRATE_FLEET: Final = "migrate-fleet/migrate-fleet"
MIGRATE_BATCH: Final = "migrate-batch/migrate-batch"
PLAN_PART: Final = "plan-part/plan-part"
VERIFY_PART: Final = "verify-part/verify-part"
PROVISION_CLUSTER: Final = "provision-cluster/provision-cluster"
GRANT_ACCESS: Final = "grant-access/grant-access"
INVENTORY_FLEET: Final = "inventory-fleet/inventory-fleet"
VERIFY_FLEET: Final = "verify-fleet/verify-fleet"
SWEEP_BREAK_GLASS: Final = "sweep-break-glass/sweep-break-glass"
END_ACCESS: Final = "end-access/end-access"
REVIEW_ACCESS: Final = "review-access/review-access"
DEPLOYMENTS: Final = (
    MIGRATE_FLEET,
    MIGRATE_BATCH,
    PLAN_PART,
    VERIFY_PART,
    PROVISION_CLUSTER,
    INVENTORY_FLEET,
    VERIFY_FLEET,
    "rollback-cluster/rollback-cluster",
    SWEEP_BREAK_GLASS,
    GRANT_ACCESS,
    END_ACCESS,
    REVIEW_ACCESS,
    "create-group/create-group",
    "apply-conditional-access/apply-conditional-access",
)
SCHEDULED: Final = (SWEEP_BREAK_GLASS, END_ACCESS, VERIFY_FLEET, REVIEW_ACCESS)
"""The deployments of prefect.yaml that Prefect's scheduler starts."""
AT_AN_END: Final = "at-an-end"
"""Tag of a sweep's run that was scheduled for the end of an opening or a grant."""
ON_REQUEST: Final = "migrate-fleet/on-request"
FLEET_RUNS: Final = {"migrate": MIGRATE_FLEET, "verify": VERIFY_FLEET, "inventory": INVENTORY_FLEET}
"""The runs of a fleet file, each with the deployment that a fleet's own deployment is made from."""
COORDINATOR: Final = "migrate-fleet"  # name of the flow
WINDOW_CLOSED: Final = "WindowClosed"
"""The final state of a batch in which the window of some clusters closed before their turn."""
NOT_QUIET: Final = "NotQuiet"
"""The final state of a batch in which a caller with an old credential came back before the turn of some clusters."""
CUT_SHORT: Final = frozenset({WINDOW_CLOSED, NOT_QUIET})
"""Names of the final states of a batch whose gate shut again before the turn of all its clusters."""
SKIPPED: Final = "Skipped"
"""The final state of a scheduled migration that did not begin, because the one before is not over."""
GATED: Final = (COORDINATOR, "grant-access", "apply-conditional-access")
"""Names of the flows that wait for a decision or a time."""
WORK_POOL: Final = "aks-entra"
SEPARATOR: Final = " · "
"""Between a task's name and its cluster in the names of task runs."""


class RunName(str):
    """The template of a run's name, such as `create group {name}`. Its values stay short and on one line.

    Prefect formats it with the parameters of the run.
    """

    __slots__ = ()

    def format(self, *args: object, **kwargs: object) -> str:
        """Return the name of one run."""
        return for_name(super().format(*args, **kwargs))


def hexadecimal(digest: str) -> str:
    """Return the digits of a digest, without `sha256:`."""
    return digest.removeprefix("sha256:")


def short(digest: str) -> str:
    """Return the first twelve digits, which are enough for a person and for a tag."""
    return hexadecimal(digest)[:12]


def plan_tag(digest: str) -> str:
    """Return the tag of every run that carries out a plan."""
    return f"plan:{short(digest)}"


def stage_tag(stage: str) -> str:
    """Return the tag of a stage's batches."""
    return f"stage:{stage}"


def batch_tag(number: int) -> str:
    """Return the tag of one batch of a stage, counted from 1."""
    return f"batch:{number}"


def batch_of(tags: list[str]) -> int:
    """Return the number of a batch from its run's tags, counted from 1. 0: they do not say it."""
    numbers = (tag.removeprefix("batch:") for tag in tags if tag.startswith("batch:"))
    return next((int(number) for number in numbers if number.isdecimal()), 0)


def coordinator_tag(run: object) -> str:
    """Return the tag of the batches that a coordinator started."""
    return f"coordinator:{run}"


def resumes_tag(run: object) -> str:
    """Return the tag of a coordinator that resumes a dead one."""
    return f"resumes:{run}"


def resumed_by(tags: list[str]) -> str | None:
    """Return the run that a run with these tags resumes, or None."""
    return next((tag.removeprefix("resumes:") for tag in tags if tag.startswith("resumes:")), None)


_FLEET_TAG: Final = "aks-entra-fleet:"
_REQUESTER_TAG: Final = "requester:"


def fleet_tag(name: str) -> str:
    """Return the tag of a fleet's deployments, of the runs that they start, and of its coordinators and batches."""
    return f"{_FLEET_TAG}{name}"


def fleet_of(tags: list[str]) -> str | None:
    """Return the fleet that a deployment or run with these tags belongs to, or None."""
    return next((tag.removeprefix(_FLEET_TAG) for tag in tags if tag.startswith(_FLEET_TAG)), None)


def fleet_deployment(run: str, fleet: str) -> str:
    """Return the full name of a fleet's deployment. `run` is a key of `FLEET_RUNS`."""
    return f"{FLEET_RUNS[run].partition('/')[0]}/{fleet}"


def typed_tag(token: str) -> str:
    """Return the tag of a coordinator for which a person typed that stages may begin without an approval."""
    return f"typed:{token}"


def typed(tags: list[str]) -> list[str]:
    """Return the tokens of such decisions from a run's tags."""
    return [tag.removeprefix("typed:") for tag in tags if tag.startswith("typed:")]


def started_tags(token: str, requester: str) -> tuple[str, ...]:
    """Return the tags of a coordinator that a command starts.

    `token`: of a typed decision, or empty. `requester`: the object id of the person, or empty. It is a claim.
    """
    return (*((typed_tag(token),) if token else ()), *((f"{_REQUESTER_TAG}{requester}",) if requester else ()))


def requester(tags: list[str]) -> str | None:
    """Return who started a run with these tags, or None if they do not say."""
    return next((tag.removeprefix(_REQUESTER_TAG) for tag in tags if tag.startswith(_REQUESTER_TAG)), None)


def stage_key(stage: str) -> str:
    """Return a stage's part of an artifact's key. Keys spell the stages `a b` and `a-b` alike, so a hash follows."""
    return key(stage, hashlib.sha256(stage.encode()).hexdigest()[:6])


def slug(cluster: ClusterId) -> str:
    """Return a cluster's part of an artifact's key: twelve digits of a hash of its ARM id (keys allow no slash)."""
    return hashlib.sha256(cluster.key.encode()).hexdigest()[:12]


def key(*parts: str) -> str:
    """Return an artifact's key: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def provision_digest(cluster: ClusterId, at: str) -> str:
    """Return what replaces the plan's digest in the report of a created cluster, which has no plan."""
    return f"sha256:{hashlib.sha256(f'provision {cluster.key} {at}'.encode()).hexdigest()}"


def run_page(run_id: object) -> str:
    """Return the page of a flow run in Prefect's UI."""
    return f"{_ui()}/runs/flow-run/{run_id}"


def deployment_page(deployment_id: object) -> str:
    """Return the page of a deployment in Prefect's UI."""
    return f"{_ui()}/deployments/deployment/{deployment_id}"


def automation_page(automation_id: object) -> str:
    """Return the page of an automation in Prefect's UI."""
    return f"{_ui()}/automations/automation/{automation_id}"


def new_block_page(block_type: str) -> str:
    """Return the page of Prefect's UI on which a person makes a block. `block_type`: its slug."""
    return f"{_ui()}/blocks/catalog/{block_type}/create"


def _ui() -> str:
    """Return the address of the UI that opens by default: V2, unless PREFECT_SERVER_UI_V2_ENABLED is false.

    Prefect's server has V2 at `/v2` and V1 at `/`. Prefect Cloud has one UI.
    """
    settings = get_current_settings()
    api = settings.api.url or ""
    base = (settings.ui_url or api.removesuffix("/api")).rstrip("/")
    v2 = settings.server.ui.v2_enabled and not api.startswith(settings.cloud.api_url)
    return f"{base}/v2" if v2 and not base.endswith("/v2") else base


def stage_of(tags: list[str]) -> str | None:
    """Return the stage of a batch from its run's tags, or None for a coordinator."""
    return next((tag.removeprefix("stage:") for tag in tags if tag.startswith("stage:")), None)
