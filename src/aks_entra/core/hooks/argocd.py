"""The configuration in a cluster secret of Argo CD, and the same with another CA.

The format is `ClusterConfig` of Argo CD (`config` of a secret with the label `argocd.argoproj.io/secret-type: cluster`,
https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#clusters).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoCdConfig:
    """A configuration with the new CA. `repr` shows no secret.

    `bearer_token` and `certificate` (PEM in base64) are what Argo CD signs in with, or empty.
    """

    text: str = field(repr=False)
    changed: bool
    bearer_token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)


def with_authority(config: str, ca_data: str) -> ArgoCdConfig:
    """Return a configuration (JSON) that trusts another CA (PEM in base64). All other fields stay as they are.

    Raises:
        ValueError: it cannot be read, or it trusts any server. The message contains nothing of it.
    """
    try:
        read: Any = json.loads(config)
    except (ValueError, RecursionError):
        raise ValueError("its `config` is not JSON") from None
    if not isinstance(read, dict):
        raise ValueError("its `config` is not a JSON object")  # noqa: TRY004 - it is a text of somebody else
    tls = read.get("tlsClientConfig")
    tls = {} if tls is None else tls
    if not isinstance(tls, dict):
        raise ValueError("`tlsClientConfig` of its `config` is not a JSON object")  # noqa: TRY004 - as above
    if tls.get("insecure"):
        raise ValueError("`tlsClientConfig.insecure` is true, so Argo CD trusts any server and takes no CA")
    changed = tls.get("caData") != ca_data
    new = {**read, "tlsClientConfig": {**tls, "caData": ca_data}}
    return ArgoCdConfig(
        text=json.dumps(new, ensure_ascii=False) if changed else config,
        changed=changed,
        bearer_token=_text(read.get("bearerToken")),
        certificate=_text(tls.get("certData")),
    )


def same_server(one: str, other: str) -> bool:
    """Whether two URLs name the same API server. Case, a closing slash and the port 443 do not count."""
    return _address(one) == _address(other)


def _address(url: str) -> str:
    return url.strip().casefold().rstrip("/").removesuffix(":443")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
