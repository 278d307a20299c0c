"""What deployments/ brings for Kubernetes, as it is when somebody has put in what is theirs."""

from __future__ import annotations

import json
from typing import Any, Final

from prefect.utilities.templating import apply_values
from ruamel.yaml import YAML

from tests.support.part import CHECKOUT

DEPLOYMENTS: Final = CHECKOUT / "deployments"
NAMESPACE: Final = "aks-entra"


def helm_values(name: str) -> Any:
    """Return a document of deployments/helm/."""
    return YAML(typ="safe").load(DEPLOYMENTS / "helm" / f"{name}.yaml")


def runner(client_id: str) -> Any:
    """Return the service account of the flow runs, with the client ID of an identity."""
    account = helm_values("runner")
    account["metadata"]["annotations"]["azure.workload.identity/client-id"] = client_id
    return account


def work_pool(kind: str) -> dict[str, Any]:
    """Return a base job template."""
    whole: dict[str, Any] = json.loads((DEPLOYMENTS / "work-pools" / f"{kind}.json").read_text(encoding="utf-8"))
    return whole


def work_pool_with(image: str) -> dict[str, Any]:
    """Return the base job template for Kubernetes with an image, put in as docs/how-to/install.md says."""
    whole = work_pool("kubernetes")
    whole["variables"]["properties"]["image"] |= {"default": image, "enum": [image]}
    return whole


def resolved(kind: str, **values: Any) -> Any:
    """Return the job of a template for a run with this name, with the defaults of what is not given."""
    template = work_pool(kind)
    defaults = {name: one["default"] for name, one in template["variables"]["properties"].items() if "default" in one}
    return apply_values(template["job_configuration"], {**defaults, "name": "steady-otter", **values})
