"""Writes a cluster's entry with the exec plugin kubelogin into a kubeconfig file, new or existing.

The entry contains a command and never a static credential. Other entries of the file are not changed. Merging follows
`az aks get-credentials`: an entry that differs under the same name is refused unless `overwrite` is set.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused

HINT: Final = "kubelogin is not installed: az aks install-cli, or https://aka.ms/aks/kubelogin"
_EMPTY: Final[dict[str, Any]] = {"apiVersion": "v1", "kind": "Config", "preferences": {}}
_LISTS: Final = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How kubectl reaches one cluster. `arguments` are those of kubelogin."""

    cluster: ClusterId
    server: str
    ca_pem: str
    arguments: tuple[str, ...]
    context: str = ""

    @property
    def named(self) -> str:
        """Return the name of the context."""
        return self.context or self.cluster.name

    def document(self) -> dict[str, Any]:
        """Return a kubeconfig with only this entry."""
        user = f"clusterUser_{self.cluster.resource_group}_{self.cluster.name}"
        ca = base64.b64encode(self.ca_pem.encode("ascii")).decode("ascii")
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "kubelogin",
            "args": list(self.arguments),
            "env": None,
            "installHint": HINT,
            "provideClusterInfo": False,
        }
        reached = {"certificate-authority-data": ca, "server": self.server}
        return {
            **_EMPTY,
            "clusters": [{"name": self.named, "cluster": reached}],
            "users": [{"name": user, "user": {"exec": plugin}}],
            "contexts": [{"name": self.named, "context": {"cluster": self.named, "user": user}}],
            "current-context": self.named,
        }


def text_of(document: dict[str, Any]) -> str:
    """Return a kubeconfig as YAML."""
    out = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 4096
    writer.dump(document, out)
    return out.getvalue()


def merged(existing: str, entry: Entry, *, overwrite: bool) -> str:
    """Return the text of a kubeconfig with the entry as its current context.

    Raises:
        Refused: the text is not a kubeconfig, or contains a different entry with this name.
    """
    try:
        found = YAML(typ="safe").load(existing) if existing.strip() else {}
    except YAMLError:
        raise Refused("the existing file is not YAML", remedy="name another --file") from None
    if not isinstance(found, dict) or any(not isinstance(found.get(key) or [], list) for key, _ in _LISTS):
        raise Refused("the existing file is not a kubeconfig", remedy="name another --file")
    ours = entry.document()
    whole = {**_EMPTY, **found, "current-context": ours["current-context"]}
    for key, inner in _LISTS:
        mine = ours[key][0]
        others = [one for one in found.get(key) or [] if isinstance(one, dict)]
        same = [one for one in others if one.get("name") == mine["name"]]
        if not overwrite and any(_differs(one.get(inner) or {}, mine[inner]) for one in same):
            raise Refused(
                f"a different {inner} named {mine['name']!r} is already in the kubeconfig",
                remedy="add --overwrite-existing, or name another --context or --file",
                code="ExistsAlready",
            )
        whole[key] = [*(one for one in others if one.get("name") != mine["name"]), mine]
    return text_of(whole)


def write(path: Path, entry: Entry, *, overwrite: bool) -> None:
    """Merge the entry into a file atomically. Only its owner can read the file. Raises Refused."""
    target = path.resolve() if path.is_symlink() else path
    try:
        existing = target.read_text(encoding="utf-8") if target.exists() else ""
        text = merged(existing, entry, overwrite=overwrite)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp creates the file with mode 0600
        handle, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Refused(f"{path}: cannot be written: {error.strerror}", remedy="name another --file") from None


def default_file() -> Path:
    """Return the file that kubectl writes to: the first one in KUBECONFIG, or else ~/.kube/config."""
    first = next((one for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one), "")
    return Path(first) if first else Path.home() / ".kube" / "config"


def _differs(there: dict[str, Any], ours: dict[str, Any]) -> bool:
    return {key: value for key, value in there.items() if value is not None} != {
        key: value for key, value in ours.items() if value is not None
    }
