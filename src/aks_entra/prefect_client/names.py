"""How things are called on Prefect's server: deployments, tags, artifact keys, pages. Names only, no request."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from prefect.settings import get_current_settings

from aks_entra.core.cluster import ClusterId
from aks_entra.core.steps import Step

MIGRATE_FLEET: Final = "migrate-fleet/migrate-fleet"
MIGRATE_BATCH: Final = "migrate-batch/migrate-batch"
PROVISION_CLUSTER: Final = "provision-cluster/provision-cluster"
GRANT_ACCESS: Final = "grant-access/grant-access"
DEPLOYMENTS: Final = (
    MIGRATE_FLEET,
    MIGRATE_BATCH,
    PROVISION_CLUSTER,
    "inventory-fleet/inventory-fleet",
    "verify-fleet/verify-fleet",
    "rollback-cluster/rollback-cluster",
    "sweep-break-glass/sweep-break-glass",
    GRANT_ACCESS,
    "end-access/end-access",
    "review-access/review-access",
    "create-group/create-group",
    "apply-conditional-access/apply-conditional-access",
)
COORDINATOR: Final = "migrate-fleet"  # name of the flow
WINDOW_CLOSED: Final = "WindowClosed"
"""The final state of a batch in which the turn of some came after their window had closed."""
GATED: Final = (COORDINATOR, "grant-access", "apply-conditional-access")
"""Names of the flows that wait for decisions."""
WORK_POOL: Final = "aks-entra"
SEPARATOR: Final = " · "
"""Between a task's name and its cluster in the names of task runs."""

TITLES: Final[dict[str, str]] = {
    "ensure-admin-group": "ensure admin group",
    "enable-entra": "enable Entra",
    "update-entra": "update Entra",
    "prove-sign-in": "prove sign-in",
    "record-baseline": "record baseline",
    "disable-local-accounts": "disable local accounts",
    "rotate-certificates": "rotate certificates",
    "verify-outcome": "verify outcome",
    "enable-local-accounts": "enable local accounts",
    "verify-restored": "verify what was restored",
}
"""What a step is called in the names of its task runs."""


def title(step: Step) -> str:
    """A step's name for people."""
    return TITLES[step.kind]


def hexadecimal(digest: str) -> str:
    """The digits of a digest, without `sha256:`."""
    return digest.removeprefix("sha256:")


def short(digest: str) -> str:
    """The first twelve digits: enough for a person and for a tag."""
    return hexadecimal(digest)[:12]


def plan_tag(digest: str) -> str:
    """The tag of every run that carries out a plan."""
    return f"plan:{short(digest)}"


def stage_tag(stage: str) -> str:
    """The tag of a stage's batches."""
    return f"stage:{stage}"


def batch_tag(number: int) -> str:
    """The tag of one of a stage's batches, counted from 1."""
    return f"batch:{number}"


def coordinator_tag(run: object) -> str:
    """The tag of the batches that a coordinator started."""
    return f"coordinator:{run}"


def stage_key(stage: str) -> str:
    """A stage in an artifact's key: `a b` and `a-b` are two stages, and keys know only one spelling of both."""
    return key(stage, hashlib.sha256(stage.encode()).hexdigest()[:6])


def slug(cluster: ClusterId) -> str:
    """A cluster in an artifact's key: twelve digits over its ARM id (keys allow no slash and ignore nothing)."""
    return hashlib.sha256(cluster.key.encode()).hexdigest()[:12]


def key(*parts: str) -> str:
    """An artifact's key: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def provision_digest(cluster: ClusterId, at: str) -> str:
    """What stands for the plan's digest in the report of a cluster that was created: it had no plan."""
    return f"sha256:{hashlib.sha256(f'provision {cluster.key} {at}'.encode()).hexdigest()}"


def run_page(run_id: object) -> str:
    """The page of a flow run in Prefect's UI."""
    settings = get_current_settings()
    base = settings.ui_url or (settings.api.url or "").removesuffix("/api")
    return f"{base}/runs/flow-run/{run_id}"


def stage_of(tags: list[str]) -> str | None:
    """The stage of a batch, by its run's tags; None for a coordinator."""
    return next((tag.removeprefix("stage:") for tag in tags if tag.startswith("stage:")), None)
