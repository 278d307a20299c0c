"""The approvers that a worker's setting names."""

from __future__ import annotations

import pytest

from aks_entra.access.approvers import access_approvers, stage_approvers
from aks_entra.core.planning.approvers import Approvers, accepted, approvers_named
from aks_entra.errors import Refused
from aks_entra.settings import Settings
from tests.support.signed_approvals import APPROVING, CLIENT, TENANT

OTHER = APPROVING[:-1] + "5"
NAMED = f"{TENANT}/{CLIENT}/{APPROVING}"


def test_a_setting_names_groups_of_one_application_and_never_the_requester() -> None:
    several = f" {NAMED.upper()}, {TENANT}/{CLIENT}/{OTHER},"
    assert accepted(several) == {NAMED, f"{TENANT}/{CLIENT}/{OTHER}"}
    assert approvers_named(several) == Approvers(
        tenant_id=TENANT, client_id=CLIENT, groups=(APPROVING, OTHER), not_requester=True
    )
    assert approvers_named(" ") is None
    assert accepted("") == frozenset()


@pytest.mark.parametrize(
    "bad", [APPROVING, f"{TENANT}/{CLIENT}/approving", f"{NAMED}/more", f"{NAMED}, {TENANT}", ",", " , "]
)
def test_a_malformed_setting_is_an_error_and_not_taken_for_an_empty_one(bad: str) -> None:
    for read in (accepted, approvers_named):
        with pytest.raises(ValueError, match="not TENANT/CLIENT/GROUP"):
            read(bad)
    with pytest.raises(Refused, match="AKS_ENTRA_APPROVERS: not TENANT/CLIENT/GROUP"):
        stage_approvers(Settings(approvers=bad))
    with pytest.raises(Refused, match="AKS_ENTRA_ACCESS_APPROVERS: not TENANT/CLIENT/GROUP"):
        access_approvers(Settings(approvers=NAMED, access_approvers=bad))


def test_a_setting_with_two_applications_is_refused() -> None:
    with pytest.raises(ValueError, match="one application"):
        approvers_named(f"{NAMED}, {TENANT}/{OTHER}/{APPROVING}")
