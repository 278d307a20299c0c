"""Decide which cluster a found credential belongs to, and whether it still opens it. Nothing is presented to anybody.

A certificate authority (CA) of a cluster serves until it is rotated. A client certificate works while the CA that
signed it serves. A static token is handed out with that CA, and a rotation replaces it too, which is known only where a
report proved it. Source: "Certificate rotation in Azure Kubernetes Service (AKS)".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import CertificateAuthority, Posture
from aks_entra.core.durations import when
from aks_entra.core.evidence.rotation_debt import Record, Sighting

ASK: Final = "find its owner, and take it away in the cluster (`kubectl get serviceaccounts -A`)"
TRY: Final = "`--try` presents it to the API server, whose audit log shows that"
LOOK_INSIDE: Final = "look at its arguments and environment in the file, and replace each secret that is there"
ROTATE: Final = "rotate the cluster's certificates (`aks-entra plan`, `rotation: at-once`): nothing else ends it"


class Kind(StrEnum):
    """What a file carries."""

    CERTIFICATE = "client certificate"
    STATIC_TOKEN = "static token"  # noqa: S105 - the name of a kind, not a secret
    ENTRA_TOKEN = "Microsoft Entra ID token"  # noqa: S105 - as above
    SERVICE_ACCOUNT_TOKEN = "service account token"  # noqa: S105 - as above
    PASSWORD = "password"  # noqa: S105 - as above
    AUTHORITY = "CA certificate"
    COMMAND = "sign-in command"
    PRIVATE_KEY = "private key"


class Life(StrEnum):
    """Whether a credential still opens its cluster."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    HARMLESS = "no credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCredential:
    """What a file says about one credential. It contains no secret.

    `authority` is the CA in the file, and `authority_key` its key identifier (hex). `issuer_key` is the key identifier
    of the CA that the certificate names as its issuer, and `signed` whether `authority` did sign it. `certificate` is
    the certificate (PEM), which is public. `recognised` is the record that shows whose it is: the CA in it signed the
    certificate, or its hash is the token's; `authority` is then the CA of that record. `named` is a record of the CA
    that the certificate only names. `secrets` names the arguments, variables and fields that hold a secret of a sign-in
    command, without their values. `unread`: its certificate is in the file, but cannot be read. Times are ISO 8601 in
    UTC, and empty if the credential has none.
    """

    kind: Kind
    name: str = ""  # of the kubeconfig's context or user
    server: str = ""  # host name of the API server that the file names
    subject: str = ""  # who it signs in
    groups: tuple[str, ...] = ()
    issuer: str = ""
    issuer_key: str = ""
    authority: CertificateAuthority | None = None
    authority_key: str = ""
    signed: bool = False
    has_key: bool = True
    not_before: str = ""
    not_after: str = ""
    elsewhere: str = ""  # the file that has the credential, if this one only names it
    certificate: str = field(default="", repr=False)
    recognised: Record | None = None
    named: Record | None = None
    secrets: tuple[str, ...] = ()
    unread: bool = False
    refuted: bool = False  # the CA that serves its cluster now did not sign it

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the key identifiers of the CA that it came with."""
        return tuple(dict.fromkeys(one for one in (self.issuer_key, self.authority_key) if one))

    @property
    def static(self) -> bool:
        """Whether it is one of the two credentials that an admin kubeconfig carries."""
        return self.kind in _STATIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether a credential lives, why, and what to do next (empty: nothing)."""

    life: Life
    because: str
    next: str = ""


_STATIC: Final = frozenset({Kind.CERTIFICATE, Kind.STATIC_TOKEN})
_SIGN_IN: Final = frozenset({"kubelogin", "kubelogin.exe", "azure", "oidc", "gcp"})
"""Commands and `auth-provider`s that sign a person or an application in, by what is not in the kubeconfig."""
_AUTHORITATIVE: Final = _STATIC | {Kind.AUTHORITY}
"""The kinds that belong to one CA of one cluster."""


def cluster_of(
    found: FoundCredential, postures: Iterable[Posture], records: Iterable[Record]
) -> tuple[Posture | None, str]:
    """Return the cluster of a credential, and how it is known. None if nothing names it.

    The CA counts before the server's name, because a name can be given to another cluster later.
    """
    there = tuple(postures)
    if found.recognised is not None:
        how = "its CA signed it" if found.kind is Kind.CERTIFICATE else "its salted hash was kept there"
        source = f" ({found.recognised.source})" if found.recognised.source else ""
        own = next((one for one in there if one.cluster.key == found.recognised.cluster), None)
        return own, f"{how}{source}"
    if found.kind in _AUTHORITATIVE:
        fingerprint = found.authority.fingerprint if found.authority else ""
        keys = {one.cluster: one for one in records if fingerprint and fingerprint in {one.ca, one.replaced}}
        for posture in there:
            if posture.cluster.key in keys:
                source = keys[posture.cluster.key].source
                return posture, f"a report saw its CA there{f' ({source})' if source else ''}"
        for posture in there:
            if posture.serving is not None and posture.serving.issuer_key in found.keys:
                signed = found.signed or found.kind is not Kind.CERTIFICATE
                return posture, "its CA serves there now" if signed else "it names the CA that serves there now"
        owner = next((one for one in there if found.named and one.cluster.key == found.named.cluster), None)
        if owner is not None and found.named is not None:
            return owner, f"it names a CA that served there{f' ({found.named.source})' if found.named.source else ''}"
    host = found.server.casefold()
    named = next((one for one in there if host and (one.fqdn or "").casefold() == host), None)
    return named, "the file names its API server" if named else ""


def judge(found: FoundCredential, posture: Posture | None, records: Iterable[Record], now: str) -> Judgement:
    """Decide whether a credential still works.

    `posture` is its cluster, with what was read of the CA there. `now` is ISO 8601.
    """
    plain = _by_itself(found, now)
    if plain is not None:
        return plain
    if posture is None and found.recognised is not None:
        return Judgement(
            life=Life.UNKNOWN,
            because=f"it belongs to {found.recognised.cluster}, which is gone, or which this identity cannot see",
            next="look at more subscriptions (`--tenant`), or look with an identity that may read the cluster",
        )
    if posture is None:
        return Judgement(
            life=Life.UNKNOWN,
            because="no cluster that this identity can see, and no report, has its CA or its server",
            next="look at more subscriptions (`--tenant`), or name the reports (`--evidence`)",
        )
    return _by_authority(found, posture, tuple(one for one in records if one.cluster in {"", posture.cluster.key}))


def _by_itself(found: FoundCredential, now: str) -> Judgement | None:
    """Return what the file alone shows. None if the cluster's CA decides."""
    ended, at = when(found.not_after), when(now)
    if found.kind is Kind.AUTHORITY:
        answer = Judgement(life=Life.HARMLESS, because="a CA certificate is public and opens nothing")
    elif found.kind is Kind.COMMAND:
        answer = _of_command(found)
    elif found.kind is Kind.PRIVATE_KEY:
        because = "only its certificate says what it opens, and this file does not have that"
        answer = Judgement(life=Life.UNKNOWN, because=because, next="run `aks-entra whose` on a file with both")
    elif found.unread:
        because = "the certificate in this file is damaged"
        answer = Judgement(life=Life.UNKNOWN, because=because, next="run `aks-entra whose` on an undamaged copy")
    elif found.elsewhere:
        because = f"the credential is in another file: {found.elsewhere}"
        answer = Judgement(life=Life.UNKNOWN, because=because, next="run `aks-entra whose` on that file")
    elif ended and at and ended <= at:
        answer = Judgement(life=Life.DEAD, because=f"it expired on {found.not_after}")
    elif found.kind is Kind.ENTRA_TOKEN:
        because = f"Kubernetes accepts it until {found.not_after or 'its end'}, wherever {found.subject} has rights"
        what = "revoke the account's sessions, and take its rights away"
        answer = Judgement(life=Life.ALIVE, because=because, next=what)
    elif found.static:
        return None
    else:
        because = f"nothing but its API server knows whether a {found.kind} still works"
        answer = Judgement(life=Life.UNKNOWN, because=because, next=ASK)
    return answer


def _of_command(found: FoundCredential) -> Judgement:
    """Return whether a sign-in command is harmless: it is one that is known, and no secret is given to it."""
    if found.secrets:
        because = f"it runs {found.subject} with secrets that are in this file: {', '.join(found.secrets)}"
        what = (
            "replace each of them where it was made, for example in Microsoft Entra ID, and read the sign-in log there"
        )
        return Judgement(life=Life.UNKNOWN, because=because, next=what)
    if re.split(r"[/\\]", found.subject.casefold())[-1] not in _SIGN_IN:
        because = f"it runs {found.subject}, and it is not known here whether that needs a secret from this file"
        return Judgement(life=Life.UNKNOWN, because=because, next=LOOK_INSIDE)
    return Judgement(life=Life.HARMLESS, because=f"it runs {found.subject}, which signs in anew each time")


def _by_authority(found: FoundCredential, posture: Posture, records: tuple[Record, ...]) -> Judgement:
    """Decide by the CA that serves now."""
    serves = _serves(found, posture)
    if serves is None:
        return Judgement(
            life=Life.UNKNOWN,
            because="it is not known under which CA it was issued, or which CA serves now",
            next=f"look again with rights on {posture.cluster}, or: {TRY}",
        )
    return _under_this_ca(found) if serves else _under_an_earlier_ca(found, posture, records)


def _under_this_ca(found: FoundCredential) -> Judgement:
    if found.refuted:
        because = "it names the CA that serves now as its issuer, but that CA did not sign it"
        return Judgement(life=Life.UNKNOWN, because=because, next=f"find out who made it; {TRY}")
    if found.kind is Kind.CERTIFICATE and not found.has_key:
        because = "its CA serves now; this file lacks the private key, and whoever has the key gets in"
    else:
        because = "its CA serves now; closed local accounts do not end what was handed out before"
    return Judgement(life=Life.ALIVE, because=because, next=ROTATE)


def _under_an_earlier_ca(found: FoundCredential, posture: Posture, records: tuple[Record, ...]) -> Judgement:
    current = posture.ca.fingerprint if posture.ca else ""
    let_in = next((one for one in records if one.sighting is Sighting.LET_IN and one.ca in {current, None}), None)
    if let_in is not None:
        because = f"its CA was replaced, but a credential from before was let in on {let_in.at} ({let_in.source})"
        return Judgement(life=Life.UNKNOWN, because=because, next=TRY)
    lost = next((one for one in records if one.sighting is Sighting.UNREADABLE), None)
    if found.kind is Kind.CERTIFICATE:
        how = "signed it" if found.signed else "it names as its issuer"
        return Judgement(life=Life.DEAD, because=f"the CA that {how} was replaced{_replaced(found, posture, records)}")
    proven = next(
        (one for one in records if one.sighting is Sighting.KNOWN_DEAD and current and one.ca == current), None
    )
    if proven is not None and lost is None:
        because = f"a report proved that tokens from before are refused under the CA that serves now ({proven.source})"
        return Judgement(life=Life.DEAD, because=because)
    unread = f", and {lost.source} cannot be read" if lost is not None else ""
    because = f"the CA that it came with was replaced, but no report shows that its token was refused since{unread}"
    return Judgement(life=Life.UNKNOWN, because=because, next=TRY)


def _serves(found: FoundCredential, posture: Posture) -> bool | None:
    """Whether the CA that the credential came with serves now. None if that is not known.

    A certificate that the CA in the file did not sign is compared by its own issuer.
    """
    trusted = found.authority is not None and (found.kind is Kind.STATIC_TOKEN or found.signed)
    if trusted and found.authority is not None and posture.ca is not None:
        return found.authority.fingerprint == posture.ca.fingerprint
    key = found.issuer_key if found.kind is Kind.CERTIFICATE else found.authority_key
    if not key or posture.serving is None or not posture.serving.issuer_key:
        return None
    return key == posture.serving.issuer_key


def _replaced(found: FoundCredential, posture: Posture, records: tuple[Record, ...]) -> str:
    """Say when the CA was replaced, as far as that is known, and from where."""
    own = found.authority.fingerprint if found.authority and found.signed else ""
    rotation = next((one for one in records if own and one.replaced == own), None)
    if rotation is not None:
        return f" on {rotation.at}{f' ({rotation.source})' if rotation.source else ''}"
    return f": the CA that serves now is valid from {posture.ca.not_before} on" if posture.ca else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One CA of a cluster, by our records: it is number `number` of the `known` ones, the oldest first.

    `first` is when a record first saw it, and `until` when a rotation ended it (ISO 8601). Empty: not known, or it
    serves now (`now`).
    """

    number: int
    known: int
    first: str = ""
    until: str = ""
    now: bool = False


def served(found: FoundCredential, posture: Posture | None, records: Iterable[Record]) -> Served | None:
    """Return which of its cluster's CAs a credential came with. None if no record and no look shows that CA."""
    if found.authority is None or posture is None or (found.kind is Kind.CERTIFICATE and not found.signed):
        return None
    mine = [one for one in records if one.cluster == posture.cluster.key and one.at]
    last = dict(sorted((one.at, one.ca) for one in mine if one.ca))
    ends = {one.replaced: one.at for one in mine if one.replaced}
    current = posture.ca.fingerprint if posture.ca else ""
    moments = {ca: at for at, ca in last.items() if ca} | ends
    order = [ca for ca in sorted(moments, key=lambda ca: moments[ca]) if ca != current]
    order += [current] if current else []
    own = found.authority.fingerprint
    if own not in order:
        return None
    return Served(
        number=order.index(own) + 1,
        known=len(order),
        first=min((one.at for one in mine if one.ca == own), default=""),
        until="" if own == current else ends.get(own, ""),
        now=own == current,
    )


def generation(found: FoundCredential) -> str:
    """Name the CA that a credential came with: the beginning of its SHA-256 and from when it is valid. May be empty."""
    if found.authority is not None and (found.kind is not Kind.CERTIFICATE or found.signed):
        began = found.authority.not_before[:10]
        return f"CA {found.authority.fingerprint[:12]}{f', valid from {began} on' if began else ''}"
    return f"CA with the key {found.issuer_key[:12]}" if found.issuer_key else ""


def since(found: FoundCredential) -> str:
    """Return from when on somebody could have fetched the credential (ISO 8601). Empty: not known."""
    if found.authority is not None and (found.kind is Kind.STATIC_TOKEN or found.signed):
        return found.authority.not_before
    return found.not_before
