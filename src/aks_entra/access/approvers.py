"""Who has to sign, by the settings of this process: stages, access, Conditional Access policies and break-glass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aks_entra.core.planning.approvers import Approvers, accepted, application_named, approvers_named
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.settings import Settings


def access_approvers(settings: Settings) -> Approvers | None:
    """Return who has to sign requests for access, policies and break-glass. None: a typed name is enough.

    Raises Refused if the setting is malformed.
    """
    own = "AKS_ENTRA_ACCESS_APPROVERS" if settings.access_approvers.strip() else "AKS_ENTRA_APPROVERS"
    try:
        return approvers_named(settings.access_approvers.strip() or settings.approvers)
    except ValueError as error:
        raise Refused(f"{own}: {error}", remedy="docs/how-to/access.md shows how people sign these approvals") from None


def stage_approvers(settings: Settings) -> frozenset[str]:
    """Return the approvers that a worker accepts, as `not_accepted` takes them. Empty: any.

    Raises Refused if the setting is malformed.
    """
    try:
        return accepted(settings.approvers)
    except ValueError as error:
        remedy = "docs/how-to/schedule-trigger-approve.md shows how people sign approvals"
        raise Refused(f"AKS_ENTRA_APPROVERS: {error}", remedy=remedy) from None


def sign_in_application(settings: Settings) -> Approvers | None:
    """Return the application through which people sign what nobody requires. None: the setting is empty.

    Raises Refused if the setting is malformed.
    """
    try:
        return application_named(settings.sign_in_application)
    except ValueError as error:
        remedy = "docs/how-to/schedule-trigger-approve.md shows how people sign approvals"
        raise Refused(f"AKS_ENTRA_SIGN_IN_APPLICATION: {error}", remedy=remedy) from None
