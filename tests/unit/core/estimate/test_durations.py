"""Durations of steps: published ones, and those that earlier reports tell of."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.estimate.durations import LOOKS, MEDIANS, PUBLISHED, Durations, Span, recorded
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    ProveSignIn,
    RotateCertificates,
    Step,
)

ROTATE = RotateCertificates(ca_before="a")
ROTATION = Record(
    cluster="/shop-01",
    sighting=Sighting.ROTATED_CLOSED,
    at="2026-11-20T10:20:00Z",
    began="2026-11-20T10:00:00Z",
)


def test_every_step_has_a_duration() -> None:
    assert set(LOOKS) | set(MEDIANS) == set(get_args(Step))
    assert not set(LOOKS) & set(MEDIANS)


def test_a_published_duration_has_its_range_and_the_next_look() -> None:
    step = EnableEntra(tenant_id="t", admin_groups=(), azure_rbac=None, was=Identity.NONE)
    assert PUBLISHED.of(step) == Span(120, 175, 330)
    assert PUBLISHED.of(DisableLocalAccounts()) == Span(113, 128, 330)
    assert PUBLISHED.of(ROTATE) == Span(900, 1515, 2730)
    assert PUBLISHED.of(ProveSignIn(admin_groups=())) == Span(2, 5, 60)
    assert PUBLISHED.basis == "published and publicly recorded durations of AKS' operations"


def test_recorded_rotations_replace_the_published_duration() -> None:
    second = replace(ROTATION, at="2026-11-20T10:30:00Z")
    found = recorded((ROTATION, second, replace(second, at="2026-11-20T10:21:00Z"), second))

    assert found.of(ROTATE) == found.of(ROTATE) == Span(1200, 1260, 1800)
    assert found.of(DisableLocalAccounts()) == PUBLISHED.of(DisableLocalAccounts())
    assert found.basis.startswith("3 earlier rotations of your own; for the rest published")
    assert recorded((ROTATION,)).basis.startswith("1 earlier rotation of your own;")


@pytest.mark.parametrize(
    "other",
    [
        replace(ROTATION, sighting=Sighting.FOUND_ROTATED),
        replace(ROTATION, began=""),
        replace(ROTATION, at="yesterday"),
        replace(ROTATION, began="2026-11-20T10:20:00Z"),
        replace(ROTATION, began="2026-11-20T08:00:00Z"),
    ],
)
def test_a_record_that_tells_no_duration_is_left_out(other: Record) -> None:
    assert recorded((other,)) == PUBLISHED


def test_the_poll_interval_of_the_settings_counts() -> None:
    assert Durations(poll_interval=0).of(ROTATE) == Span(900, 1500, 2700)


def test_what_is_left_of_a_span_is_never_negative() -> None:
    assert Span(1, 2, 3) + Span(1, 1, 1) == Span(2, 3, 4)
    assert Span(10, 20, 30).less(15) == Span(0, 5, 15)
