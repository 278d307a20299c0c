"""What a cluster holds for aks-entra: deployments/helm/runner.yaml, what Prefect's chart makes, and a way to Azure.

The policy does to a pod what Azure's workload identity webhook does: it adds the client ID of the service account's
annotation, tenant, authority and a projected token. It also adds a proxy and its CA, as a company's network has them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.support.team_deployments import NAMESPACE

RUNNER: Final = "aks-entra-runner"
WORKER: Final = "prefect-worker"
AUTHENTICATION: Final = "prefect-auth"
_CA: Final = "/azure/ca.pem"
_TOKEN: Final = "/var/run/secrets/azure/tokens"  # the webhook's folder
_EXPIRES: Final = 365 * 24 * 3600
"""Seconds: the sandbox's clock runs hundreds of times as fast as the cluster's."""


def worker_rights() -> tuple[dict[str, Any], ...]:
    """Return the worker's service account with the role that Prefect's chart gives it in its namespace."""
    metadata = {"name": WORKER, "namespace": NAMESPACE}
    group = "rbac.authorization.k8s.io"
    read, write = ["get", "watch", "list"], ["create", "update", "patch", "delete"]
    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/log", "pods/status"], "verbs": read},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": [*read, *write]},
    ]
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": WORKER},
            "subjects": [{"kind": "ServiceAccount", "name": WORKER, "namespace": NAMESPACE}],
        },
    )


def secret(authentication: str) -> dict[str, Any]:
    """Return the secret with the string that Prefect's API asks for."""
    metadata = {"name": AUTHENTICATION, "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": {"auth-string": authentication},
    }


def way_to_azure(
    address: str, port: int, ca: str, tenant: str, settings: Mapping[str, str]
) -> tuple[dict[str, Any], ...]:
    """Return the policy, and what it adds to each pod that has the label of the workload identity webhook.

    `port`: of the proxy at the node's address. `settings`: more variables of the environment.
    """
    variables = {
        "HTTPS_PROXY": f"http://{address}:{port}",
        "NO_PROXY": address,
        "SSL_CERT_FILE": _CA,
        "AZURE_TENANT_ID": tenant,
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
        "AZURE_FEDERATED_TOKEN_FILE": f"{_TOKEN}/azure-identity-token",
        **settings,
    }
    group = "admissionregistration.k8s.io"
    labelled = {"matchLabels": {"azure.workload.identity/use": "true"}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "paramKind": {"apiVersion": "v1", "kind": "ServiceAccount"},
        "matchConstraints": {"resourceRules": [pods], "objectSelector": labelled},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _patch(variables)}}],
    }
    parameters = {"name": RUNNER, "namespace": NAMESPACE, "parameterNotFoundAction": "Deny"}
    return (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "azure-ca", "namespace": NAMESPACE},
            "data": {"ca.pem": ca},
        },
        {
            "apiVersion": f"{group}/v1beta1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": "azure"},
            "spec": policy,
        },
        {
            "apiVersion": f"{group}/v1beta1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": "azure"},
            "spec": {"policyName": "azure", "paramRef": parameters},
        },
    )


def _patch(variables: Mapping[str, str]) -> str:
    """Return the policy's expression, in CEL. A list as a value would end the request in an error of this version."""
    values = {name: json.dumps(value) for name, value in variables.items()}
    values["AZURE_CLIENT_ID"] = 'params.metadata.annotations["azure.workload.identity/client-id"]'
    environment = ", ".join(
        f"""JSONPatch{{op: "add", path: "/spec/containers/0/env/-",
          value: Object.spec.containers.env{{name: "{name}", value: {value}}}}}"""
        for name, value in values.items()
    )
    return f"""[
      JSONPatch{{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{{
        name: "azure-ca",
        configMap: Object.spec.volumes.configMap{{name: "azure-ca"}}
      }}}},
      JSONPatch{{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{{
        name: "azure-identity-token",
        projected: Object.spec.volumes.projected{{sources: [Object.spec.volumes.projected.sources{{
          serviceAccountToken: Object.spec.volumes.projected.sources.serviceAccountToken{{
            audience: "api://AzureADTokenExchange", expirationSeconds: {_EXPIRES}, path: "azure-identity-token"
          }}
        }}]}}
      }}}},
      JSONPatch{{op: "add", path: "/spec/containers/0/volumeMounts/-", value: Object.spec.containers.volumeMounts{{
        name: "azure-ca", mountPath: "/azure", readOnly: true
      }}}},
      JSONPatch{{op: "add", path: "/spec/containers/0/volumeMounts/-", value: Object.spec.containers.volumeMounts{{
        name: "azure-identity-token", mountPath: "{_TOKEN}", readOnly: true
      }}}},
      {environment}
    ]"""
