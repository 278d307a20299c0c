"""Which api-versions a resource type has, and how the sandbox refuses the others."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from azure_sandbox.arm import api_versions
from azure_sandbox.arm.api_versions import newest, of_type, type_of
from azure_sandbox.arm.containerservice.spec import ClusterSpec
from tests.support.arm_client import GROUP, SCOPE, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
CLUSTERS = "Microsoft.ContainerService/managedClusters"
TODAY = dt.date(2026, 11, 27)


@pytest.fixture
def client() -> ArmClient:
    return ArmClient(ClusterSpec(name="shop-01"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (CLUSTER, CLUSTERS),
        (f"{CLUSTER}/agentPools/one", f"{CLUSTERS}/agentPools"),
        (f"{CLUSTER}/providers/Microsoft.Authorization/locks/keep", "Microsoft.Authorization/locks"),
        (GROUP, "Microsoft.Resources"),
        (f"{SCOPE}/providers", "Microsoft.Resources"),
        (f"{SCOPE}/providers/Microsoft.Network/register", "Microsoft.Resources"),
        (
            f"{SCOPE}/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/X",
            "Microsoft.Features/features",
        ),
    ],
)
def test_the_resource_type_of_a_path(path: str, kind: str) -> None:
    assert type_of(path) == kind


@pytest.mark.parametrize("version", ["1999-01-01", "2026-08-01-preview", "tomorrow"])
async def test_a_cluster_is_refused_for_an_api_version_that_nobody_knows(client: ArmClient, version: str) -> None:
    status, code, message = await client.refused("GET", f"{CLUSTER}?api-version={version}")
    assert (status, code) == (400, "NoRegisteredProviderFound")
    begin = f"No registered resource provider found for location 'westeurope' and API version '{version}' for type"
    assert message.startswith(f"{begin} 'managedClusters'. The supported api-versions are '2017-08-31, 2018-03-31, ")
    assert "2026-08-01, 2026-08-02-preview'. The supported locations are 'australiacentral, " in message


async def test_other_resource_types_have_their_own_versions_and_words(client: ArmClient) -> None:
    lock = f"{CLUSTER}/providers/Microsoft.Authorization/locks/keep?api-version=2026-08-01"
    status, code, message = await client.refused("GET", lock)
    assert (status, code) == (404, "InvalidResourceType")
    assert message.startswith(
        "The resource type 'locks' could not be found in the namespace 'Microsoft.Authorization' for api version "
        "'2026-08-01'. The supported api-versions are '2015-01-01,"
    )
    status, code, message = await client.refused("GET", f"{GROUP}?api-version=2026-08-01")
    assert (status, code) == (400, "InvalidApiVersionParameter")
    assert message.startswith("The api-version '2026-08-01' is invalid. The supported versions are '2025-07-01,")


async def test_a_cluster_in_a_missing_group_is_missing_at_every_api_version(client: ArmClient) -> None:
    missing = f"{SCOPE}/resourceGroups/nope/providers/{CLUSTERS}/shop-01?api-version=1999-01-01"
    assert (await client.refused("GET", missing))[:2] == (404, "ResourceNotFound")


def test_a_preview_of_aks_ends_about_a_year_after_its_release() -> None:
    month = dt.timedelta(days=30)
    day = dt.date(2026, 8, 2)
    assert "2026-08-02-preview" in of_type(CLUSTERS, day + 13 * month)
    assert "2026-08-02-preview" not in of_type(CLUSTERS, day + 15 * month)
    assert "2020-10-01-preview" in of_type("Microsoft.Authorization/roleAssignments", TODAY)


def test_a_resource_below_a_cluster_may_have_fewer_versions_than_the_cluster() -> None:
    assert "2026-08-01" not in of_type(f"{CLUSTERS}/jwtAuthenticators", TODAY)
    assert of_type(f"{CLUSTERS}/stop", TODAY) == of_type(CLUSTERS, TODAY)
    assert of_type("Microsoft.Unknown/things", TODAY) == ()


def test_the_newest_version_is_a_stable_one_if_there_is_any() -> None:
    assert newest(CLUSTER, TODAY) == "2026-08-01"
    assert newest(f"{CLUSTER}/jwtAuthenticators", TODAY) == "2026-08-02-preview"
    assert newest(f"{SCOPE}/providers/Microsoft.Unknown/things", TODAY) == ""


def test_the_versions_of_a_type_that_is_not_listed_are_not_checked() -> None:
    path = f"{SCOPE}/providers/Microsoft.Authorization/others"
    assert api_versions.refusal(path, "1999-01-01", "", (), TODAY) is None


def test_the_lists_ascend_and_name_no_version_twice() -> None:
    for kind, versions in api_versions.TABLE.items():
        assert list(versions) == sorted(set(versions)), kind


async def test_the_provider_names_the_versions_that_are_accepted(client: ArmClient) -> None:
    shown: Any = await client.get(f"{SCOPE}/providers/Microsoft.ContainerService")
    clusters = next(it for it in shown["resourceTypes"] if it["resourceType"] == "managedClusters")
    assert clusters["apiVersions"][:2] == ["2026-08-02-preview", "2026-08-01"]
    for version in clusters["apiVersions"]:
        assert (await client.send("GET", f"{CLUSTER}?api-version={version}")).status == 200
