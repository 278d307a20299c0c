"""`--state DIR`: a sandbox that survives a restart, with its keys, so that cached tokens still work.

The folder holds the sandbox's own secrets, which work nowhere else. Only its owner can read it. While the sandbox is
not running, Azure time stops: an operation continues from where it was last saved.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from azure_sandbox.arm.network.client_networks import ClientNetwork
from azure_sandbox.arm.service import Arm
from azure_sandbox.entra.directory import Directory, ServicePrincipal
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.pki import Authority
from azure_sandbox.state.arm import kept_arm, restore_arm
from azure_sandbox.state.codec import decode, encode
from azure_sandbox.state.keys import read_pair, write_pair
from azure_sandbox.vaults.service import KeyVaults
from azure_sandbox.world.build import Operator
from azure_sandbox.world.export import export_world
from azure_sandbox.world.model import World, WorldError

FILE = "state.json"
VERSION = 2
NOT_STORED = frozenset({"clock", "replication"})  # each start sets them anew


class Kept(Protocol):
    """The parts of a sandbox that are stored."""

    directory: Directory
    tokens: Tokens
    arm: Arm
    operator: Operator
    authority: Authority
    networks: dict[str, ClientNetwork]
    vaults: KeyVaults


class Saved:
    """The content of a state folder when the sandbox starts. It is empty on the first start."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = (folder / FILE).read_text(encoding="utf-8") if (folder / FILE).exists() else ""
            self._document: dict[str, Any] = json.loads(text) if text else {}
        except (OSError, ValueError) as error:
            raise WorldError(f"--state {folder}: {error}") from error
        if self._document and self._document.get("version") != VERSION:
            raise WorldError(f"--state {folder}: another version of the sandbox wrote it; use a new folder")

    @property
    def world(self) -> World | None:
        """Return the stored world. Returns None on the first start."""
        return World.model_validate(decode(self._document["world"])) if self._document else None

    def authority(self) -> Authority | None:
        """Return the stored CA of Azure's host names. Returns None on the first start."""
        return Authority.restored(*read_pair(self._document["authority"])) if self._document else None

    def restore(self, sandbox: Kept) -> None:
        """Restore what a world file cannot express."""
        if not self._document:
            return
        for name, value in decode(self._document["directory"]).items():
            if name not in NOT_STORED:
                setattr(sandbox.directory, name, value)
        signing = self._document["signing"]
        sandbox.tokens.use(signing["key"].encode(), signing["id"])
        principal = sandbox.directory.principal(sandbox.operator.principal.id)
        if isinstance(principal, ServicePrincipal):
            sandbox.operator = replace(sandbox.operator, principal=principal)
        restore_arm(self._document["arm"], sandbox.arm)


def save(folder: Path, sandbox: Kept) -> None:
    """Write the whole state atomically."""
    for it in tuple(sandbox.arm.state.clusters.values()):
        it.server.settle()
    directory = {name: it for name, it in vars(sandbox.directory).items() if name not in NOT_STORED}
    key, key_id = sandbox.tokens.signing_key()
    document = {
        "version": VERSION,
        "world": encode(export_world(sandbox)),
        "directory": encode(directory),
        "signing": {"key": key.decode(), "id": key_id},
        "authority": write_pair(*sandbox.authority.pair),
        "arm": kept_arm(sandbox.arm),
    }
    new = folder / f"{FILE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    new.replace(folder / FILE)
