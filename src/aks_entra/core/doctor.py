"""Check whether a machine has what the documented way into a cluster needs.

Source: AKS' page on managed Microsoft Entra ID integration, section Prerequisites (az 2.29.0, kubectl 1.18.1 within
one minor version of the cluster, kubelogin, helm 3.3 if helm is used). This module must not know how
versions are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import same_id
from aks_entra.core.entra_keys import KEYS_LAST, renewal
from aks_entra.core.schedules import Overdue

AZ: Final = (2, 29, 0)
KUBECTL: Final = (1, 18, 1)
HELM: Final = (3, 3, 0)
SKEW: Final = 1
"""By how many minor versions kubectl and a cluster may differ."""
CLOCK_WARNING: Final = 60.0
CLOCK_LIMIT: Final = 300.0
"""With more seconds of clock skew, tokens are refused as not yet valid or expired."""

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


class Light(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor's table."""

    name: str
    light: Light
    found: str
    wanted: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command line tool: where PATH finds it, its version, and where it is outside PATH."""

    name: str
    path: str = ""
    version: str = ""  # as it was printed; empty if the tool could not be run
    beside: str = ""  # an installation that PATH does not reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A host that must answer. `skew`: its clock minus ours in seconds; None if it sent no time."""

    host: str
    error: str = ""
    remedy: str = ""
    skew: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInAs:
    """The credential that was found on the machine. `error` is set if there is no credential, or it was refused."""

    name: str = ""
    tenant_id: str = ""
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefectServer:
    """The Prefect server that PREFECT_API_URL names. `error` is set if it did not answer, or refused us.

    `authenticates`: whether it refuses a request without a credential; None if that is not known.
    """

    error: str = ""
    remedy: str = ""
    authenticates: bool | None = None
    overdue: tuple[Overdue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOfRecords:
    """What was found of the store of records. `place` is empty if none is set, and `error` if it can be read.

    `folder`: it is a folder, which other machines reach only if they mount it. `shared`: the Prefect server that
    PREFECT_API_URL names is on another machine, so that others may work with it.
    """

    place: str = ""
    folder: bool = False
    shared: bool = False
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntraKeys:
    """The file that AKS_ENTRA_ENTRA_KEYS names. `error` is set if it cannot be read. `age`: since it was written."""

    file: str
    age: timedelta = timedelta()
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningGroup:
    """A group that a setting names for signed approvals. `people`: its enabled users; None: `unread` says why.

    `problem`: why nobody signs through it; empty: people can.
    """

    setting: str
    group: str = ""
    problem: str = ""
    people: int | None = None
    unread: str = "its members could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Everything that was found. `cluster_*` are empty without a cluster.

    `prefect`, `records` and `entra_keys` are None if no server or file is named, or if nobody looked.
    """

    tools: tuple[Tool, ...]
    reach: tuple[Reach, ...]
    signed_in: SignedInAs
    cluster: str = ""
    cluster_version: str = ""
    cluster_tenant: str = ""
    cluster_error: str = ""
    prefect: PrefectServer | None = None
    records: PlaceOfRecords | None = None
    entra_keys: EntraKeys | None = None
    signing_groups: tuple[SigningGroup, ...] = ()


def version_in(text: str) -> tuple[int, int, int] | None:
    """Return the first version in a text, or None."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def examine(patient: Patient) -> tuple[Check, ...]:
    """Return every check, in the order of the documented prerequisites."""
    return (
        *(_tool(tool) for tool in patient.tools),
        *_skew(patient),
        *(_reachable(reach) for reach in patient.reach),
        _clock(patient.reach),
        _sign_in(patient),
        *_prefect(patient.prefect),
        *_records(patient.records),
        *_entra_keys(patient.entra_keys),
        *(_signing_group(one) for one in patient.signing_groups),
    )


def sound(checks: tuple[Check, ...]) -> bool:
    """Whether nothing failed. Warnings and unknowns are not failures."""
    return all(check.light is not Light.FAILED for check in checks)


_INSTALL: Final = {
    "az": "install Azure CLI 2.29.0 or later",
    "kubectl": "az aks install-cli",
    "kubelogin": "az aks install-cli",
    "helm": "install helm 3.3 or later",
}
_LEAST: Final = {"az": AZ, "kubectl": KUBECTL, "helm": HELM}


def _tool(tool: Tool) -> Check:
    least = _LEAST.get(tool.name)
    wanted = f">= {_dotted(least)}" if least else "any version"
    install = _INSTALL[tool.name]
    if tool.name == "helm":
        wanted += ", if it is used"
    if not tool.path:
        if tool.beside:
            found, remedy = f"{tool.beside}, which PATH does not reach", f"add its folder to PATH: {tool.beside}"
            return Check(name=tool.name, light=Light.FAILED, found=found, wanted=wanted, remedy=remedy)
        if tool.name == "helm":
            return Check(name=tool.name, light=Light.OK, found="not installed", wanted=wanted)
        return Check(name=tool.name, light=Light.FAILED, found="not on PATH", wanted=wanted, remedy=install)
    version = version_in(tool.version)
    if version is None:
        said = f"{tool.path} does not say its version"
        return Check(name=tool.name, light=Light.UNKNOWN, found=said, wanted=wanted, remedy=install)
    old = least is not None and version < least
    return Check(
        name=tool.name,
        light=Light.FAILED if old else Light.OK,
        found=f"{_dotted(version)} ({tool.path})",
        wanted=wanted,
        remedy=install if old else "",
    )


def _skew(patient: Patient) -> tuple[Check, ...]:
    if not patient.cluster:
        return ()
    name = "kubectl and cluster"
    wanted = f"within {SKEW} minor version"
    if patient.cluster_error:
        return (Check(name=name, light=Light.UNKNOWN, found=patient.cluster_error, wanted=wanted),)
    text = next((tool.version for tool in patient.tools if tool.name == "kubectl"), "")
    client, server = version_in(text), version_in(patient.cluster_version)
    if client is None or server is None:
        return (Check(name=name, light=Light.UNKNOWN, found="one of the two versions is unknown", wanted=wanted),)
    apart = client[0] != server[0] or abs(client[1] - server[1]) > SKEW
    return (
        Check(
            name=name,
            light=Light.FAILED if apart else Light.OK,
            found=f"{client[0]}.{client[1]} and {server[0]}.{server[1]} of {patient.cluster}",
            wanted=wanted,
            remedy=f"az aks install-cli --client-version {_dotted(server)}" if apart else "",
        ),
    )


def _reachable(reach: Reach) -> Check:
    light = Light.FAILED if reach.error else Light.OK
    return Check(name=f"reach {reach.host}", light=light, found=reach.error or "answers", remedy=reach.remedy)


def _clock(reach: tuple[Reach, ...]) -> Check:
    wanted = f"within {CLOCK_LIMIT:.0f} s of Azure's"
    skews = [one.skew for one in reach if one.skew is not None]
    if not skews:
        return Check(name="clock", light=Light.UNKNOWN, found="no host sent a time", wanted=wanted)
    worst = max(skews, key=abs)
    light = Light.FAILED if abs(worst) > CLOCK_LIMIT else Light.WARNING if abs(worst) > CLOCK_WARNING else Light.OK
    side = "behind" if worst > 0 else "ahead"
    return Check(
        name="clock",
        light=light,
        found=f"{abs(worst):.0f} s {side}" if light is not Light.OK else "right",
        wanted=wanted,
        remedy="" if light is Light.OK else "set the clock (chrony, systemd-timesyncd, w32time): tokens carry times",
    )


def _sign_in(patient: Patient) -> Check:
    signed_in = patient.signed_in
    if signed_in.error:
        light, found, remedy = Light.FAILED, signed_in.error, signed_in.remedy or "az login"
        return Check(name="sign-in", light=light, found=found, wanted="an Azure credential", remedy=remedy)
    found = f"{signed_in.name or 'somebody'} in tenant {signed_in.tenant_id}"
    if patient.cluster_tenant and not same_id(patient.cluster_tenant, signed_in.tenant_id):
        return Check(
            name="sign-in",
            light=Light.FAILED,
            found=found,
            wanted=f"tenant {patient.cluster_tenant}, which {patient.cluster} trusts",
            remedy=f"az login --tenant {patient.cluster_tenant}",
        )
    wanted = f"tenant {patient.cluster_tenant}" if patient.cluster_tenant else "an Azure credential"
    return Check(name="sign-in", light=Light.OK, found=found, wanted=wanted)


def _prefect(server: PrefectServer | None) -> tuple[Check, ...]:
    if server is None:
        return ()
    name, wanted = "Prefect server", "answers only with authentication"
    if server.error:
        return (Check(name=name, light=Light.FAILED, found=server.error, wanted=wanted, remedy=server.remedy),)
    if server.authenticates is None:
        admission = Check(
            name=name, light=Light.UNKNOWN, found="it is not known whether it asks for authentication", wanted=wanted
        )
    elif server.authenticates:
        admission = Check(name=name, light=Light.OK, found="answers, and asks for authentication", wanted=wanted)
    else:
        admission = Check(
            name=name,
            light=Light.WARNING,
            found="lets in everybody who can reach it, and they can run code on its workers",
            wanted=wanted,
            remedy="set PREFECT_SERVER_API_AUTH_STRING where it is started (docs/security.md)",
        )
    return (admission, *_schedules(server.overdue))


def _schedules(overdue: tuple[Overdue, ...]) -> tuple[Check, ...]:
    wanted = "each runs at its times"
    if not overdue:
        return (Check(name="schedules", light=Light.OK, found="run", wanted=wanted),)
    return tuple(
        Check(
            name=f"schedule {one.deployment}",
            light=Light.WARNING,
            found=one.because,
            wanted=wanted,
            remedy=one.remedy,
        )
        for one in overdue
    )


_ONLY_READ: Final = "only read, nothing was written"
"""A record that a check writes could not be taken back: the store may be immutable."""


def _records(store: PlaceOfRecords | None) -> tuple[Check, ...]:
    if store is None:
        return ()
    name, wanted = "store of records", "outlives Prefect's database"
    if store.error:
        return (Check(name=name, light=Light.FAILED, found=store.error, wanted=wanted, remedy=store.remedy),)
    if not store.place:
        found, remedy = "none: records are lost with Prefect's database", "set AKS_ENTRA_RECORDS"
    elif store.folder and store.shared:
        found, remedy = (
            f"{store.place}, a folder; {_ONLY_READ}",
            "use az://ACCOUNT/CONTAINER, or a folder that all workers mount",
        )
    else:
        return (Check(name=name, light=Light.OK, found=f"{store.place}; {_ONLY_READ}", wanted=wanted),)
    remedy = f"{remedy} (docs/how-to/records.md)"
    return (Check(name=name, light=Light.WARNING, found=found, wanted=wanted, remedy=remedy),)


def _entra_keys(keys: EntraKeys | None) -> tuple[Check, ...]:
    if keys is None:
        return ()
    name, wanted = "Entra's signing keys", f"a file of the last {KEYS_LAST.days} days"
    if keys.error:
        return (Check(name=name, light=Light.FAILED, found=keys.error, wanted=wanted, remedy=keys.remedy),)
    old = keys.age > KEYS_LAST
    return (
        Check(
            name=name,
            light=Light.WARNING if old else Light.OK,
            found=f"{keys.file}, {keys.age.days} days old",
            wanted=wanted,
            remedy=renewal(keys.file) if old else "",
        ),
    )


def _signing_group(one: SigningGroup) -> Check:
    if one.problem:
        light, found, remedy = Light.FAILED, one.problem, f"correct {one.setting}: TENANT/CLIENT/GROUP, as ids"
    elif one.people is None:
        light, found = Light.UNKNOWN, f"group {one.group}: {one.unread}"
        remedy = "grant GroupMember.Read.All and User.Read.All, or check the group yourself"
    elif one.people == 0:
        light, found = Light.WARNING, f"group {one.group} has no enabled user among its active members"
        remedy = "add people to the group; who is eligible must activate the membership before signing"
    else:
        light, found, remedy = Light.OK, f"group {one.group} has people: {one.people}", ""
    return Check(name=one.setting, light=light, found=found, wanted="groups of people who can sign", remedy=remedy)


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in version)
