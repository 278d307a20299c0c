"""Whether a machine has what the documented way into a cluster needs: pure checks over what was found there.

Source: AKS' page on managed Microsoft Entra ID integration, section Prerequisites (az 2.29.0, kubectl 1.18.1 within
one minor version of the cluster, kubelogin, helm 3.3 where helm is used). It must not know how versions are asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import same_id

AZ: Final = (2, 29, 0)
KUBECTL: Final = (1, 18, 1)
HELM: Final = (3, 3, 0)
SKEW: Final = 1
"""Minor versions that kubectl and a cluster may differ by."""
CLOCK_WARNING: Final = 60.0
CLOCK_LIMIT: Final = 300.0
"""Seconds of clock skew beyond which tokens are refused as not yet, or no longer, valid."""

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
    """A command line tool: where PATH finds it, what it calls its version, and where it lies outside of PATH."""

    name: str
    path: str = ""
    version: str = ""  # as it was printed; empty when it could not be asked
    beside: str = ""  # an installation that PATH does not reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A host that must answer. `skew`: its clock minus ours in seconds, None when it named no time."""

    host: str
    error: str = ""
    remedy: str = ""
    skew: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInAs:
    """Whose credential was found on the machine; `error` when none was, or it was refused."""

    name: str = ""
    tenant_id: str = ""
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """All that was found. `cluster_*` are empty without a cluster."""

    tools: tuple[Tool, ...]
    reach: tuple[Reach, ...]
    signed_in: SignedInAs
    cluster: str = ""
    cluster_version: str = ""
    cluster_tenant: str = ""
    cluster_error: str = ""


def version_in(text: str) -> tuple[int, int, int] | None:
    """The first version in a text, or None."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def examine(patient: Patient) -> tuple[Check, ...]:
    """Every check, in the order of the document's prerequisites."""
    return (
        *(_tool(tool) for tool in patient.tools),
        *_skew(patient),
        *(_reachable(reach) for reach in patient.reach),
        _clock(patient.reach),
        _sign_in(patient),
    )


def sound(checks: tuple[Check, ...]) -> bool:
    """Whether nothing failed; a warning or something unknown is no failure."""
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
        return (Check(name=name, light=Light.UNKNOWN, found="one of the two versions is not known", wanted=wanted),)
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
        return Check(name="clock", light=Light.UNKNOWN, found="no host said what time it is", wanted=wanted)
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


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in version)
