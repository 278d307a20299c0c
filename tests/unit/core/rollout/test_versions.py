"""A batch works only for a coordinator of its own version."""

from __future__ import annotations

import pytest

from aks_entra.core.rollout.versions import version_mismatch


@pytest.mark.parametrize(
    ("coordinator", "batch", "message"),
    [
        ("0.2.0", "0.2.0", ""),
        ("0.2.0", "0.1.0", "its coordinator runs aks-entra 0.2.0, and this batch runs aks-entra 0.1.0"),
        ("0.2.0", "0.2.1", "its coordinator runs aks-entra 0.2.0, and this batch runs aks-entra 0.2.1"),
        (
            "",
            "0.2.0",
            (
                "its coordinator runs an earlier version of aks-entra, which did not note it, "
                "and this batch runs aks-entra 0.2.0"
            ),
        ),
    ],
)
def test_versions_that_differ_are_both_named(coordinator: str, batch: str, message: str) -> None:
    assert version_mismatch(coordinator, batch) == message
