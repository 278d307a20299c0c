"""The approvers that a worker's setting names."""

from __future__ import annotations

import pytest

from aks_entra.core.planning.approvers import Approvers, accepted, approvers_named
from tests.support.signed_approvals import APPROVING, CLIENT, TENANT

OTHER = APPROVING[:-1] + "5"
NAMED = f"{TENANT}/{CLIENT}/{APPROVING}"


def test_a_setting_names_groups_of_one_application_and_never_the_requester() -> None:
    several = f" {NAMED.upper()}, {TENANT}/{CLIENT}/{OTHER},"
    assert accepted(several) == {NAMED, f"{TENANT}/{CLIENT}/{OTHER}"}
    assert approvers_named(several) == Approvers(
        tenant_id=TENANT, client_id=CLIENT, groups=(APPROVING, OTHER), not_requester=True
    )
    assert approvers_named(" , ") is None


@pytest.mark.parametrize("bad", [APPROVING, f"{TENANT}/{CLIENT}/approving", f"{NAMED}/more", f"{NAMED}, {TENANT}"])
def test_a_malformed_setting_is_an_error_and_not_taken_for_an_empty_one(bad: str) -> None:
    with pytest.raises(ValueError, match="not TENANT/CLIENT/GROUP"):
        approvers_named(bad)


def test_a_setting_with_two_applications_is_refused() -> None:
    with pytest.raises(ValueError, match="one application"):
        approvers_named(f"{NAMED}, {TENANT}/{OTHER}/{APPROVING}")
