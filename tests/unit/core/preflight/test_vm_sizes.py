"""Families and vCPUs by the names of sizes, as Azure's usages call them."""

from __future__ import annotations

import pytest

from aks_entra.core.preflight.vm_sizes import size_of


@pytest.mark.parametrize(
    ("name", "cores", "family"),
    [
        ("Standard_D4s_v5", 4, "standardDSv5Family"),
        ("Standard_D16ads_v5", 16, "standardDADSv5Family"),
        ("Standard_DS2_v2", 2, "standardDSv2Family"),
        ("Standard_E8ds_v4", 8, "standardEDSv4Family"),
        ("Standard_E4-2s_v5", 4, "standardESv5Family"),
        ("Standard_F8s_v2", 8, "standardFSv2Family"),
        ("Standard_NC6s_v3", 6, "standardNCSv3Family"),
        ("Standard_B2ms", 2, "standardBSFamily"),
        ("standard_d4S_V5", 4, "standardDSv5Family"),
    ],
)
def test_a_size_says_what_it_takes(name: str, cores: int, family: str) -> None:
    size = size_of(name)
    assert size is not None
    assert size.cores == cores
    assert family.lower() in size.families


@pytest.mark.parametrize("name", ["", "Basic_A1", "Standard_", "D4s_v5"])
def test_another_name_says_nothing(name: str) -> None:
    assert size_of(name) is None
