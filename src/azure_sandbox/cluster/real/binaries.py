"""Finds the control plane's programs in the folder that envtest's convention names, `KUBEBUILDER_ASSETS`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "KUBEBUILDER_ASSETS"
REMEDY = 'build them with `make control-plane`, then: eval "$(clients/build --print-env)"'


class NoControlPlane(Exception):
    """A real control plane is not available. The message says what is missing and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """Paths of the two programs."""

    etcd: Path
    kube_apiserver: Path


def find_binaries(environment: Mapping[str, str]) -> Binaries:
    """Return the programs in the folder that the environment names. Raises NoControlPlane."""
    folder = environment.get(VARIABLE, "")
    if not folder:
        raise NoControlPlane(f"`controlPlane: real` needs kube-apiserver and etcd, but {VARIABLE} is not set; {REMEDY}")
    found = Binaries(etcd=Path(folder) / "etcd", kube_apiserver=Path(folder) / "kube-apiserver")
    for it in (found.etcd, found.kube_apiserver):
        if not (it.is_file() and os.access(it, os.X_OK)):
            raise NoControlPlane(f"`controlPlane: real` needs {it}, which is not an executable file; {REMEDY}")
    return found
