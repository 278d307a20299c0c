"""What the bench counts: kinds of requests, Azure's limits that they count against, and the time that those force."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from azure_sandbox.front.proxy import Exchange
from bench.traffic import API_SERVERS, ARM, GRAPH, TOKENS, kind, service, traffic

SUBSCRIPTION = "/subscriptions/0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302"
AKS = "providers/Microsoft.ContainerService"
ID = "2d1f6b0e-7c55-4d0a-9a4e-1c3b5d7f9e21"


def cluster(name: str = "c") -> str:
    return f"{SUBSCRIPTION}/resourceGroups/g/{AKS}/managedClusters/{name}"


def asked(path: str, *, method: str = "GET", host: str = "management.azure.com", status: int = 200) -> Exchange:
    return Exchange(at=datetime.now(UTC), host=host, method=method, path=path, status=status)


@pytest.mark.parametrize(
    ("path", "host", "where", "what"),
    [
        (cluster(), "management.azure.com", ARM, "GET managedClusters/*"),
        (f"{cluster()}/agentPools", "management.azure.com", ARM, "GET managedClusters/*/agentPools"),
        (
            f"{cluster()}/providers/Microsoft.Authorization/permissions",
            "management.azure.com",
            ARM,
            "GET managedClusters/*/Microsoft.Authorization/permissions",
        ),
        (
            f"{SUBSCRIPTION}/{AKS}/locations/weu/operations/{ID}",
            "management.azure.com",
            ARM,
            "GET locations/*/operations/*",
        ),
        (SUBSCRIPTION, "management.azure.com", ARM, "GET subscription"),
        ("/subscriptions", "management.azure.com", ARM, "GET subscriptions"),
        (f"/v1.0/groups/{ID}/members", "graph.microsoft.com", GRAPH, "GET groups/*/members"),
        (f"/{ID}/oauth2/v2.0/token", "login.microsoftonline.com", TOKENS, "GET token"),
        ("/api/v1/nodes", "c-1.hcp.westeurope.azmk8s.io", API_SERVERS, "GET /api/v1/nodes"),
        ("/v1/workspaces", "api.loganalytics.azure.com", "api.loganalytics.azure.com", "GET /v1/workspaces"),
    ],
)
def test_requests_are_counted_by_service_and_kind_without_names(path: str, host: str, where: str, what: str) -> None:
    one = asked(path, host=host)
    assert (service(one), kind(one)) == (where, what)


def test_only_what_aks_serves_counts_against_its_limit() -> None:
    found = traffic(
        [
            asked(cluster()),
            asked(f"{cluster()}/agentPools"),
            asked(f"{cluster()}/providers/Microsoft.Authorization/permissions"),
            asked(f"{cluster()}/listClusterUserCredential", method="POST", status=429),
            asked("/api/v1/nodes", host="c.azmk8s.io"),
        ],
        1,
    )
    assert (found.total, found.of(ARM), found.of(API_SERVERS), found.of(GRAPH)) == (5, 4, 1, 0)
    assert (found.aks, found.throttled) == (2, 1)


def test_the_requests_of_more_clusters_last_as_long_as_the_limit_that_binds() -> None:
    found = traffic([asked(f"{cluster(f'c{one}')}/agentPools") for one in range(4) for _ in range(2)], 4)
    seconds, limit = found.seconds(200)
    assert (round(seconds), limit) == (440, "other requests to AKS")  # (400 − 48) / 0.8
    assert found.seconds(20)[0] == 0


def test_reads_of_one_cluster_do_not_add_up_over_clusters() -> None:
    found = traffic([asked(cluster(f"c{one}")) for one in range(4) for _ in range(50)], 4)
    binds = {load.limit.name: load.seconds(4) for load in found.loads}
    assert binds["reads of a cluster"] == pytest.approx(2.5)  # (50 − 48) / 0.8, for each of them at the same time
    assert found.seconds(400)[1] == "reads of ARM"
