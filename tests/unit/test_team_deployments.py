"""deployments/: container file, compose file, Helm values and work pools name only what exists, and hold no secret."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import prefect.server.api
import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]  # it ships no types
from kubernetes.client import ApiClient
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_valid_setting_names
from prefect.utilities.templating import find_placeholders
from ruamel.yaml import YAML

from aks_entra.adapters.host.location import SERVICE_ACCOUNT
from aks_entra.host.runbooks import CHECKOUT
from aks_entra.settings import Settings
from tests.support.team_deployments import DEPLOYMENTS, helm_values, resolved, work_pool

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (DEPLOYMENTS / "container" / "Containerfile").read_text(encoding="utf-8")
POOLS = {path.stem: work_pool(path.stem) for path in (DEPLOYMENTS / "work-pools").glob("*.json")}
KNOWN = {
    *_get_valid_setting_names(PrefectSettings),
    *(f"AKS_ENTRA_{name.upper()}" for name in Settings.model_fields),
    *(CHECKOUT, "AKS_ENTRA_HOME"),
    # prefect-redis 0.3.0 and prefect-kubernetes 0.8.0, which container.lock pins
    *(f"PREFECT_REDIS_MESSAGING_{name}" for name in ("HOST", "PORT", "PASSWORD")),
    *(f"PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_{name}" for name in ("NAME", "KEY")),
    "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES",
    # Azure's workload identity, Python, and the images of PostgreSQL, Redis and HAProxy
    *("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"),
    *("PATH", "HOME", "LANG", "PYTHONDONTWRITEBYTECODE", "DO_NOT_TRACK"),
    *("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "REDISCLI_AUTH", "PUBLIC_HOST"),
}
RUN_ONCE = {"database", "pool", "deploy"}
OF_WORKERS = ("AKS_ENTRA_RECORDS", "AKS_ENTRA_APPROVERS", "AKS_ENTRA_ACCESS_APPROVERS", "AKS_ENTRA_ENTRA_KEYS")
"""Settings that every flow run must have as its operator says."""
FOLDER_OF_KEYS = "/etc/aks-entra/entra-keys"


def read(name: str) -> Any:
    return YAML(typ="safe").load(DEPLOYMENTS / name)


COMPOSE = read("container/compose.yaml")
SERVER, WORKER = helm_values("prefect-server"), helm_values("prefect-worker")


def tree_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tree", DEPLOYMENTS / "container" / "tree.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lists_of_environment(value: Any) -> Iterator[dict[str, Any]]:
    """Kubernetes' form of an environment: each dictionary with a name and a value, anywhere in a document."""
    if isinstance(value, dict):
        if "name" in value and ("value" in value or "valueFrom" in value):
            yield value
        for inner in value.values():
            yield from lists_of_environment(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from lists_of_environment(inner)


def environments() -> Iterator[tuple[str, str, Any]]:
    """Where a variable is set, its name and its value."""
    for name, service in COMPOSE["services"].items():
        for key, value in service.get("environment", {}).items():
            yield f"compose {name}", key, value
    for where, document in {"server": SERVER, "worker": WORKER, **POOLS}.items():
        for one in lists_of_environment(document):
            yield where, one["name"], one.get("value", one.get("valueFrom"))
    block = re.search(r"^ENV (.*?[^\\])$", CONTAINERFILE, re.DOTALL | re.MULTILINE)
    assert block is not None
    for word in block[1].replace("\\\n", " ").split():
        key, _, value = word.partition("=")
        yield "Containerfile", key, value


VARIABLES = list(environments())


def test_the_variables_of_every_file_were_found() -> None:
    assert {where.partition(" ")[0] for where, *_ in VARIABLES} == {
        *("compose", "server", "worker", "kubernetes", "Containerfile")
    }


@pytest.mark.parametrize(("where", "name"), sorted({(where, name) for where, name, _ in VARIABLES}))
def test_every_variable_is_one_that_its_program_reads(where: str, name: str) -> None:
    assert name in KNOWN or (where == "compose sign-in" and name.startswith("OAUTH2_PROXY_"))


def test_every_secret_comes_from_outside() -> None:
    secret = [one for one in VARIABLES if re.search(r"PASSWORD|SECRET|AUTH_STRING|CLI_AUTH|CONNECTION_URL", one[1])]
    assert len(secret) > 8
    for where, name, value in secret:
        if name.endswith(("_SECRET_NAME", "_SECRET_KEY")):
            continue
        outside = isinstance(value, dict) and "secretKeyRef" in value
        assert outside or re.search(r"\$\{[A-Z_]+(:\?[^}]+)?\}", str(value)), (where, name)


def test_a_variable_of_the_compose_file_is_required_where_it_is_first_used() -> None:
    text = (DEPLOYMENTS / "container" / "compose.yaml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{([A-Z_0-9]+)", text))
    required = set(re.findall(r"\$\{([A-Z_0-9]+):\?", text))
    assert used - required == {"PUBLIC_PORT"}  # has a default


def test_no_image_is_taken_from_a_named_registry() -> None:
    assert re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE) == ["${BASE}@${BASE_DIGEST}", "scratch"]
    assert re.search(r"^ARG BASE_DIGEST$", CONTAINERFILE, re.MULTILINE)
    assert all(re.fullmatch(r"\$\{[A-Z0-9_]+:\?.+\}", one["image"]) for one in COMPOSE["services"].values())
    assert "repository" not in SERVER["global"]["prefect"]["image"]
    assert "repository" not in WORKER["worker"]["image"]
    files = [path for path in DEPLOYMENTS.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    hosts = re.compile(
        r"\b(?:docker|quay|ghcr|gcr|mcr|pypi|azurecr|pkg)\.(?:io|com|org|dev)\b|microsoft\.com/v2|pythonhosted"
    )
    assert [path for path in files if hosts.search(path.read_text(encoding="utf-8"))] == []


def test_nothing_in_the_image_runs_as_root_or_through_a_shell() -> None:
    final = CONTAINERFILE.partition("FROM scratch")[2]
    user = re.search(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
    assert user is not None
    assert {int(one) for one in user.groups()} == {tree_module().USER}
    assert "RUN" not in final
    for instruction in ("ENTRYPOINT", "CMD"):
        (form,) = re.findall(rf"^{instruction} (.+)$", final, re.MULTILINE)
        assert isinstance(json.loads(form), list)
    assert "HEALTHCHECK" in final


def test_the_tree_of_the_image_leaves_the_sandbox_the_demo_and_the_packages_of_its_base_out() -> None:
    left_out, environment = tree_module().left_out, Path("/opt/aks-entra")
    packages = environment / "lib" / "python3.11" / "site-packages"
    for name in ("azure_sandbox", "aks_entra/_runbooks/demo", "prefect/__pycache__"):
        assert left_out(packages / name, environment), name
    for name in ("aks-entra-sandbox", "activate", "Activate.ps1", "pip3"):
        assert left_out(environment / "bin" / name, environment), name
    for name in ("test", "site-packages", "dist-packages"):  # the base's own: it has pip
        assert left_out(Path("/usr/local/lib/python3.11", name), environment), name
    assert not left_out(packages, environment)
    for name in ("aks_entra", "aks_entra/_runbooks/flows", "fsspec/tests", "prefect/server/api"):
        assert not left_out(packages / name, environment), name


def test_every_service_that_stays_says_how_it_is_and_can_write_nowhere_else() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        if "${AKS_ENTRA_IMAGE" in service["image"]:
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert (service["restart"] == "no") == (name in RUN_ONCE), name
    assert {name for name, one in services.items() if "ports" in one} == {"sign-in"}
    assert services["api"]["deploy"]["replicas"] == 2
    assert {name for name in services if "test" in services[name].get("healthcheck", {})} == {
        "postgres",
        "redis",
        "api",
    }
    assert "healthcheck" not in services["worker"]  # the image's


def test_versions_are_those_of_the_lock() -> None:
    lock = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    more = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (DEPLOYMENTS / "container" / "container.lock").read_text(), re.MULTILINE)
    )
    assert SERVER["global"]["prefect"]["image"]["prefectTag"] == f"{lock['prefect']}-python3.11"
    assert WORKER["worker"]["image"]["prefectTag"] == f"{lock['prefect']}-python3.11-kubernetes"
    assert {"prefect-redis", "prefect-kubernetes", "prefect-docker"} <= set(more)
    assert set(lock).isdisjoint(more)


def test_the_services_share_what_they_must_agree_on() -> None:
    server = COMPOSE["services"]["api"]["environment"]
    assert COMPOSE["services"]["background-services"]["environment"] == server
    helm = {one["name"]: one.get("value") for one in SERVER["global"]["prefect"]["env"]}
    for name in server:
        if "SERVICES" in name or name.startswith("PREFECT_MESSAGING") or "LEASE" in name or "ORDERING" in name:
            assert helm[name] == server[name], name


def test_links_of_workers_open_a_page_that_the_server_has() -> None:
    """A message about a gate has a link that the worker made."""
    v2 = "PREFECT_SERVER_UI_V2_ENABLED"
    services = COMPOSE["services"]
    server = {one["name"]: one.get("value") for one in SERVER["server"]["env"]}
    everywhere = {one["name"]: one.get("value") for one in SERVER["global"]["prefect"]["env"]}
    worker = {one["name"]: one.get("value") for one in WORKER["worker"]["extraEnvVars"]}
    assert services["worker"]["environment"].get(v2) == services["api"]["environment"].get(v2)
    assert worker.get(v2) == server.get(v2)
    pages = [services[name]["environment"]["PREFECT_UI_URL"] for name in ("worker", "api", "background-services")]
    assert set(pages) == {"${PUBLIC_URL}"}
    assert worker["PREFECT_UI_URL"] == everywhere["PREFECT_UI_URL"]


# Work pools


@pytest.mark.parametrize("kind", ["process", "docker", "kubernetes"])
def test_a_template_has_the_form_of_prefects_own(kind: str) -> None:
    folder = Path(prefect.server.api.__file__).parent / "collections_data" / "views"
    views = json.loads((folder / "aggregate-worker-metadata.json").read_text(encoding="utf-8"))
    (default,) = (one[kind]["default_base_job_configuration"] for one in views.values() if kind in one)
    ours = POOLS[kind]
    assert set(ours) == {"job_configuration", "variables"}
    assert set(ours["job_configuration"]) <= {*default["job_configuration"], "container_create_kwargs"}
    assert set(ours["variables"]["properties"]) <= {*default["variables"]["properties"]}
    used = {one.name for one in find_placeholders(ours["job_configuration"])}
    assert used == set(ours["variables"]["properties"])


@pytest.mark.parametrize("kind", ["process", "docker", "kubernetes"])
def test_a_run_brings_no_command_environment_folder_image_or_identity(kind: str) -> None:
    schema = POOLS[kind]["variables"]
    validator = Draft202012Validator(schema)
    declared = YAML(typ="safe").load(ROOT / "prefect.yaml")["deployments"]
    for deployment in declared:
        validator.validate(deployment["work_pool"]["job_variables"])
    for name in ("command", "env", "working_dir", "service_account_name", "namespace", "volumes", "privileged"):
        with pytest.raises(ValidationError):
            validator.validate({name: "x"})
    with pytest.raises(ValidationError):
        validator.validate({"image": "another"})


def test_the_job_is_one_that_kubernetes_knows_whole() -> None:
    manifest = resolved("kubernetes")["job_manifest"]
    client = ApiClient()
    job = client.deserialize(json.dumps(manifest), "V1Job", "application/json")
    # What the model does not know would be lost.
    assert client.sanitize_for_serialization(job) == manifest  # type: ignore[no-untyped-call]  # it ships no types


def test_the_pod_has_limits_a_workload_identity_and_no_rights() -> None:
    template = resolved("kubernetes", memory_limit="2Gi")["job_manifest"]["spec"]["template"]
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    account = helm_values("runner")
    assert template["spec"]["serviceAccountName"] == account["metadata"]["name"]
    assert "azure.workload.identity/client-id" in account["metadata"]["annotations"]
    (container,) = template["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert template["spec"]["securityContext"]["runAsUser"] == tree_module().USER
    assert template["spec"]["automountServiceAccountToken"] is False


def test_the_pod_can_read_on_which_cluster_it_runs_without_a_token() -> None:
    """Without it, rule U116 refuses every migration in a pod."""
    pod = resolved("kubernetes")["job_manifest"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = (one for one in container["volumeMounts"] if one["mountPath"] == str(SERVICE_ACCOUNT))
    (volume,) = (one for one in pod["volumes"] if one["name"] == mount["name"])
    assert mount["readOnly"]
    assert volume["configMap"] == {"name": "kube-root-ca.crt"}  # every namespace has it
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_a_run_gets_the_store_of_records_and_the_approvers_that_its_operator_names(kind: str) -> None:
    """A container does not inherit the worker's environment, and a process without the store is refused."""
    job = resolved(kind)
    if kind == "docker":
        assert {name: job["env"].get(name) for name in OF_WORKERS} == dict.fromkeys(OF_WORKERS, "")
        return
    (container,) = job["job_manifest"]["spec"]["template"]["spec"]["containers"]
    settings = helm_values("settings")
    for name in OF_WORKERS:
        (variable,) = (one for one in container["env"] if one["name"] == name)
        # Without `optional`: Kubernetes starts no pod that would do without the setting.
        reference = {"name": settings["metadata"]["name"], "key": name}
        assert variable["valueFrom"] == {"configMapKeyRef": reference}
    assert settings["data"] == dict.fromkeys(OF_WORKERS, "")
    assert settings["metadata"]["namespace"] == job["job_manifest"]["metadata"]["namespace"]


def test_the_worker_of_the_compose_file_gives_its_runs_the_same_settings() -> None:
    environment = COMPOSE["services"]["worker"]["environment"]
    assert {name: environment[name] for name in OF_WORKERS} == dict.fromkeys(OF_WORKERS)  # passed on if it is set


def test_a_pod_without_the_file_of_entras_keys_starts_and_one_with_it_finds_it_where_the_pages_say() -> None:
    pod = resolved("kubernetes")["job_manifest"]["spec"]["template"]["spec"]
    (mount,) = (one for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == FOLDER_OF_KEYS)
    (volume,) = (one for one in pod["volumes"] if one["name"] == mount["name"])
    assert mount["readOnly"]
    assert "subPath" not in mount  # Kubernetes would not renew the file of a running pod
    assert volume["configMap"] == {"name": "entra-signing-keys", "optional": True}
    assert resolved("docker")["volumes"] == []  # Docker would make a folder of a file that is not there
    assert COMPOSE["services"]["worker"]["volumes"] == [f"./entra-keys:{FOLDER_OF_KEYS}:ro"]
    page = (ROOT / "docs" / "how-to" / "schedule-trigger-approve.md").read_text(encoding="utf-8")
    for words in ("create configmap entra-signing-keys", "--from-file=keys.json", f"{FOLDER_OF_KEYS}/keys.json"):
        assert words in page


def test_a_run_ends_as_its_own_infrastructure_and_is_scheduled_again() -> None:
    """With a backoff limit Kubernetes would start a second process of the same run."""
    assert resolved("kubernetes")["job_manifest"]["spec"]["backoffLimit"] == 0


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_the_image_starts_the_flow_run_with_its_own_entry_point(kind: str) -> None:
    """The image's entry point is `python -m aks_entra.prefect_client`; Prefect's default would repeat `prefect`."""
    job = resolved(kind)
    args = (
        job["command"].split()
        if kind == "docker"
        else job["job_manifest"]["spec"]["template"]["spec"]["containers"][0]["args"]
    )
    assert args == ["flow-run", "execute"]
    assert 'ENTRYPOINT ["/opt/aks-entra/bin/python", "-m", "aks_entra.prefect_client"]' in CONTAINERFILE
