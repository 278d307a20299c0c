"""Who has to sign, by the settings of this process: stages, access, Conditional Access policies and break-glass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from aks_entra.core.planning.approvers import Approvers, accepted, application_named, approvers_named
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from aks_entra.settings import Settings

_T = TypeVar("_T")
_SIGN: Final = "docs/how-to/schedule-trigger-approve.md shows how people sign approvals"


def access_approvers(settings: Settings) -> Approvers | None:
    """Return who has to sign requests for access, policies and break-glass. None: a typed name is enough.

    Raises Refused if the setting is malformed.
    """
    own = "AKS_ENTRA_ACCESS_APPROVERS" if settings.access_approvers.strip() else "AKS_ENTRA_APPROVERS"
    text = settings.access_approvers.strip() or settings.approvers
    return _read(approvers_named, own, text, "docs/how-to/access.md shows how people sign these approvals")


def stage_approvers(settings: Settings) -> frozenset[str]:
    """Return the approvers that a worker accepts, as `not_accepted` takes them. Empty: any.

    Raises Refused if the setting is malformed.
    """
    return _read(accepted, "AKS_ENTRA_APPROVERS", settings.approvers, _SIGN)


def sign_in_application(settings: Settings) -> Approvers | None:
    """Return the application through which people sign what nobody requires. None: the setting is empty.

    Raises Refused if the setting is malformed.
    """
    return _read(application_named, "AKS_ENTRA_SIGN_IN_APPLICATION", settings.sign_in_application, _SIGN)


def _read(read: Callable[[str], _T], setting: str, text: str, remedy: str) -> _T:
    """Return what a setting says. Raises Refused that names the setting if it is malformed."""
    try:
        return read(text)
    except ValueError as error:
        raise Refused(f"{setting}: {error}", remedy=remedy) from None
