"""Who has to sign requests, by the settings of a worker or a machine."""

from __future__ import annotations

import pytest

from aks_entra.access.approvers import access_approvers, sign_in_application
from aks_entra.core.planning.approvers import approvers_named
from aks_entra.errors import Refused
from aks_entra.settings import Settings
from tests.support.signed_approvals import APPROVING, CLIENT, TENANT

OTHER = APPROVING[:-1] + "5"
NAMED = f"{TENANT}/{CLIENT}/{APPROVING}"


def test_requests_have_the_approvers_of_stages_unless_they_have_their_own() -> None:
    stages = f"{TENANT}/{CLIENT}/{OTHER}"
    assert access_approvers(Settings()) is None
    assert access_approvers(Settings(approvers=stages)) == approvers_named(stages)
    assert access_approvers(Settings(approvers=stages, access_approvers=NAMED)) == approvers_named(NAMED)
    with pytest.raises(Refused, match="AKS_ENTRA_ACCESS_APPROVERS: not TENANT"):
        access_approvers(Settings(access_approvers="erin"))
    with pytest.raises(Refused, match="AKS_ENTRA_APPROVERS: not TENANT"):
        access_approvers(Settings(approvers="erin"))


def test_people_sign_voluntarily_through_the_application_of_a_setting() -> None:
    assert sign_in_application(Settings()) is None
    found = sign_in_application(Settings(sign_in_application=f"{TENANT}/{CLIENT}"))
    assert found is not None
    assert (found.tenant_id, found.client_id, found.groups) == (TENANT, CLIENT, ())
    with pytest.raises(Refused, match="AKS_ENTRA_SIGN_IN_APPLICATION: not TENANT/CLIENT"):
        sign_in_application(Settings(sign_in_application="erin"))
