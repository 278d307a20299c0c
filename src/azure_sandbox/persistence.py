"""`--state DIR`: a sandbox that is there again after a restart, with its keys, so that cached tokens still work.

The folder holds the sandbox's own secrets, which open nothing else; only its owner can read it. An operation that ran
when the sandbox was killed has failed when it is back; one that ran when it was ended in order has come to its end.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from azure_sandbox.arm.service import Arm
from azure_sandbox.arm.state import ManagedCluster
from azure_sandbox.build import Operator
from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.entra.directory import Directory, ServicePrincipal
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.keys import read_generation, read_pair, write_generation, write_pair
from azure_sandbox.pki import Authority
from azure_sandbox.state_codec import decode, encode
from azure_sandbox.world import World, WorldError
from azure_sandbox.world_export import export_world

FILE = "state.json"
VERSION = 1
FAR = datetime(9999, 1, 1, tzinfo=UTC)
STANDING = frozenset({"Succeeded", "Failed", "Canceled"})
KEPT_BY_ITSELF = frozenset({"clock", "replication"})  # what a start decides


class Kept(Protocol):
    """What of a sandbox is kept."""

    directory: Directory
    tokens: Tokens
    arm: Arm
    operator: Operator
    authority: Authority


class Saved:
    """What a folder held when the sandbox started; `world` is None on the first start."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = (folder / FILE).read_text(encoding="utf-8") if (folder / FILE).exists() else ""
            self._document: dict[str, Any] = json.loads(text) if text else {}
        except (OSError, ValueError) as error:
            raise WorldError(f"--state {folder}: {error}") from error
        if self._document and self._document.get("version") != VERSION:
            raise WorldError(f"--state {folder}: it was written by another version of the sandbox; take a new folder")

    @property
    def world(self) -> World | None:
        """The world to start from."""
        return World.model_validate(decode(self._document["world"])) if self._document else None

    def authority(self) -> Authority | None:
        """The CA of Azure's names."""
        return Authority.restored(*read_pair(self._document["authority"])) if self._document else None

    def restore(self, sandbox: Kept) -> None:
        """Put back what a world file cannot say."""
        if not self._document:
            return
        for name, value in decode(self._document["directory"]).items():
            if name not in KEPT_BY_ITSELF:
                setattr(sandbox.directory, name, value)
        signing = self._document["signing"]
        sandbox.tokens.use(signing["key"].encode(), signing["id"])
        principal = sandbox.directory.principal(sandbox.operator.principal.id)
        if isinstance(principal, ServicePrincipal):
            sandbox.operator = replace(sandbox.operator, principal=principal)
        for entry in decode(self._document["activity"]):
            sandbox.arm.add_activity(entry)
        for cluster in sandbox.arm.state.clusters.values():
            if cluster.state not in STANDING:
                cluster.set_state("Failed")
        for key, kept in self._document["clusters"].items():
            found = sandbox.arm.state.clusters.get(key)
            if found is not None:
                _restore_cluster(found, kept)


def _restore_cluster(cluster: ManagedCluster, kept: dict[str, Any]) -> None:
    generation, retired = read_generation(kept["generation"]), [read_pair(it) for it in kept["retired"]]
    cluster.server.restore(generation, retired)
    cluster.etag, cluster.uid, cluster.pool_etags = kept["etag"], kept["uid"], kept["poolEtags"]
    cluster.set_state(kept["state"] if kept["state"] in STANDING else "Failed")


def _kept_cluster(it: ManagedCluster) -> dict[str, Any]:
    generation: Generation = it.server.generation
    return {
        "etag": it.etag,
        "uid": it.uid,
        "poolEtags": it.pool_etags,
        "state": it.state,
        "generation": write_generation(generation),
        "retired": [write_pair(one.certificate, one.key) for one in it.server.retired],
    }


def save(folder: Path, sandbox: Kept) -> None:
    """Write everything, all or nothing."""
    directory = {name: it for name, it in vars(sandbox.directory).items() if name not in KEPT_BY_ITSELF}
    key, key_id = sandbox.tokens.signing_key()
    document = {
        "version": VERSION,
        "world": encode(export_world(sandbox)),
        "directory": encode(directory),
        "signing": {"key": key.decode(), "id": key_id},
        "authority": write_pair(*sandbox.authority.pair),
        "activity": encode(list(sandbox.arm.state.activity.all())),
        "clusters": {key: _kept_cluster(it) for key, it in sandbox.arm.state.clusters.items() if it.server.touched},
    }
    new = folder / f"{FILE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    new.replace(folder / FILE)


def finish(sandbox: Kept) -> None:
    """Let every operation come to its end: Azure works on while nobody looks."""
    for it in tuple(sandbox.arm.state.clusters.values()):
        it.server.timeline.settle(FAR, sandbox.arm.clock.now())
