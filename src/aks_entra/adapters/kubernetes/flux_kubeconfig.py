"""The kubeconfig in a Secret of Flux: what its current context uses, and the same text with another CA.

Only the characters of one CA change, so that comments, order and quotes stay. Flux uses the current context. Source:
`spec.kubeConfig.secretRef` in https://fluxcd.io/flux/components/kustomize/kustomizations/#kubeconfig-remote-clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_CA: Final = "certificate-authority-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxKubeconfig:
    """What the current context of a kubeconfig uses. `repr` shows no secret.

    `certificate` is PEM in base64. `in_file`: a credential is in a file beside the kubeconfig. `command`: a program
    gets one (`exec` or `auth-provider`).
    """

    text: str = field(repr=False)
    cluster: MappingNode = field(repr=False)
    cluster_name: str
    server: str
    token: str = field(repr=False)
    certificate: str = field(repr=False)
    in_file: bool
    command: bool

    def with_authority(self, ca_data: str) -> str:
        """Return the text with another CA (PEM in base64) for the cluster of the current context.

        Raises:
            ValueError: it trusts any server, or the CA cannot be changed alone. The message contains nothing of it.
        """
        if _value(self.cluster, "insecure-skip-tls-verify").casefold() == "true":
            raise ValueError("`insecure-skip-tls-verify` is true, so Flux trusts any server and takes no CA")
        if "".join(_value(self.cluster, _CA).split()) == ca_data:
            return self.text
        new = self._replaced(ca_data)
        expected = _loaded(self.text)
        for one in expected["clusters"]:
            if one["name"] == self.cluster_name:
                one["cluster"][_CA] = ca_data
        try:
            alone = _loaded(new) == expected
        except ValueError:
            alone = False
        if not alone:
            raise ValueError("its CA cannot be changed without changing something else")
        return new

    def _replaced(self, ca_data: str) -> str:
        held = _get(self.cluster, _CA)
        if held is not None:
            start, end = held.start_mark.index, held.end_mark.index
            old = self.text[start:end]
            quote = _quote(old)
            return self.text[:start] + f"{quote}{ca_data}{quote}" + old[len(old.rstrip()) :] + self.text[end:]
        first = self.cluster.value[0][0].start_mark
        quote = _quote(self.text[first.index :])
        then = ", " if self.cluster.flow_style else "\n" + " " * first.column
        entry = f"{quote}{_CA}{quote}: {quote}{ca_data}{quote}{then}"
        return self.text[: first.index] + entry + self.text[first.index :]


def read_kubeconfig(text: str) -> FluxKubeconfig:
    """Read the current context of a kubeconfig.

    Raises:
        ValueError: it is no kubeconfig, or its current context names no cluster. The message contains nothing of it.
    """
    try:
        root = _yaml().compose(text)
    except (YAMLError, ValueError, RecursionError):
        raise ValueError("it is not YAML") from None
    context = _entry(root, "contexts", "context", _value(root, "current-context"))
    name = _value(context, "cluster")
    cluster = _entry(root, "clusters", "cluster", name)
    if cluster is None or not _value(cluster, "server"):
        raise ValueError("it is not a kubeconfig whose current context names one cluster with a server")
    user = _entry(root, "users", "user", _value(context, "user"))
    return FluxKubeconfig(
        text=text,
        cluster=cluster,
        cluster_name=name,
        server=_value(cluster, "server"),
        token=_value(user, "token"),
        certificate=_value(user, "client-certificate-data"),
        in_file=bool(_value(user, "tokenFile") or _value(user, "client-certificate")),
        command=_get(user, "exec") is not None or _get(user, "auth-provider") is not None,
    )


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)  # libyaml's nodes have no places in the text


def _loaded(text: str) -> Any:
    try:
        return _yaml().load(text)
    except (YAMLError, ValueError, RecursionError):
        raise ValueError("it is not YAML") from None


def _get(node: Node | None, key: str) -> Node | None:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next((value for name, value in pairs if isinstance(name, ScalarNode) and name.value == key), None)


def _value(node: Node | None, key: str) -> str:
    found = _get(node, key)
    return found.value if isinstance(found, ScalarNode) else ""


def _entry(root: Node | None, many: str, one: str, name: str) -> MappingNode | None:
    """Return the mapping `one` of the only entry of this name in a list."""
    listed = _get(root, many)
    entries = listed.value if isinstance(listed, SequenceNode) else ()
    found = [_get(entry, one) for entry in entries if name and _value(entry, "name") == name]
    return found[0] if len(found) == 1 and isinstance(found[0], MappingNode) else None


def _quote(text: str) -> str:
    return text[0] if text[:1] in {'"', "'"} else ""
