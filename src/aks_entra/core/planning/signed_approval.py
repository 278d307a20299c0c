"""Approvals that people sign at Microsoft Entra ID: what is signed, and which signatures count at a gate.

A person signs in once. The `nonce` of the ID token commits to the first approval, to a fresh public key, and to the
time until which that key signs approvals, as in OpenPubkey (https://github.com/openpubkey/openpubkey). The cryptography
is checked elsewhere: this module gets the claims of ID tokens whose signatures hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from aks_entra.core.durations import in_words, moment, stamp, when
from aks_entra.core.entra_keys import PublishedKey
from aks_entra.core.planning.approval import CLOCKS, Approval
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate, Side
from aks_entra.core.storable import canonical

SIGN_IN_TAKES: Final = timedelta(hours=1)
"""The longest time from the making of a key to the ID token that commits to it."""
ISSUER: Final = "https://login.microsoftonline.com/{tenant}/v2.0"
"""The issuer of ID tokens of the v2.0 endpoint (`iss`)."""


Subject: TypeAlias = Literal["stage", "access request", "Conditional Access policy", "break-glass"]
"""What an approval is about. A signature for one of them approves none of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a person approves: a gate of one run, about one plan with these findings. `at` is ISO 8601 in UTC.

    `plan` is the digest of a plan, or of a request (`SignedRequest`).
    """

    decision: Literal["approve", "reject"]
    plan: str
    facts: str
    stage: str
    side: Side
    run: str
    reason: str
    ticket: str
    at: str
    subject: Subject = "stage"

    @property
    def text(self) -> str:
        """The text that is signed: JSON with sorted keys. Without `subject` it is about a stage."""
        said = {name: value for name, value in asdict(self).items() if (name, value) != ("subject", "stage")}
        return canonical({"kind": "aks-entra/approval", "version": 1, **said})


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What the `nonce` of a sign-in commits to. `key` is a public key (JWK as JSON), fresh for this sign-in.

    The person is not in it, because nobody knows them before they signed in: the ID token names the person and the
    nonce. Times are ISO 8601 in UTC.
    """

    approval: str  # digest of the first statement's text
    key: str
    at: str  # when the key was made
    until: str = ""  # when the key stops signing; empty: an earlier version made it, and the approvers' time counts
    application: str = ""  # `tenant id/client id` through which the person signs in; empty likewise

    @property
    def nonce(self) -> str:
        """The `nonce` of the sign-in: 64 hex digits."""
        return _digits(canonical({"kind": "aks-entra/sign-in", "version": 2 if self.until else 1, **self.said()}))

    def said(self) -> dict[str, str]:
        """Return its fields. What a commitment of an earlier version does not have is left out."""
        return {name: value for name, value in asdict(self).items() if value or name not in {"until", "application"}}

    def names(self, first: Statement) -> bool:
        """Whether this approval is the one for which the person signed in."""
        return self.approval == _digits(first.text)


def commitment(first: Statement, key: str, *, application: str, until: datetime | None) -> Commitment:
    """Return what the sign-in for a first approval commits to. `until` None: for an hour."""
    ends = until or moment(first.at) + SIGN_IN_TAKES
    return Commitment(approval=_digits(first.text), key=key, at=first.at, until=stamp(ends), application=application)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedApproval:
    """A statement with its proof. Nothing in it opens anything: `id_token` is for the approvers' application alone."""

    statement: Statement
    commitment: Commitment
    id_token: str
    signature: str  # of the statement's text, a compact JWS made with the key of the commitment
    entra_key: str  # Entra's key that signed the ID token, as Entra published it that day (JWK as JSON)

    @property
    def code(self) -> str:
        """The approval code: 24 hex digits that name exactly this document. It proves nothing by itself."""
        return _digits(canonical({**asdict(self), "commitment": self.commitment.said()}))[:24]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The claims of an ID token whose signature holds, or of a token that was presented as one.

    `groups`: None if the token names no groups; `overage`: because they are too many for it. `person`: False for the
    token of an application, and for an access token.
    """

    issuer: str
    audience: str
    tenant_id: str
    object_id: str
    name: str
    nonce: str
    issued_at: datetime
    groups: tuple[str, ...] | None = None
    overage: bool = False
    person: bool = True

    @property
    def words(self) -> str:
        """`dana@contoso.com (object id 3f…)`."""
        return f"{self.name} (object id {self.object_id})" if self.name else f"object id {self.object_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signed approval as it was read: the sign-in behind it, or the problem with its signatures.

    `member`: whether the person is in one of the approvers' groups. None if that is unknown.
    `published`: Entra's key that signed the ID token, as it was read from Entra. None: it was read from a file.
    `unknown_key`: the problem is that this key is not among the trusted ones, so nobody can say if it holds.
    """

    signed: SignedApproval
    sign_in: SignIn | None = None
    member: bool | None = None
    published: PublishedKey | None = None
    problem: str = ""
    unknown_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The gate that a signature has to be for, and who started the run.

    `requester`: an object id or a name. Empty: no person started it (a schedule did). None: that is unknown.
    `beneficiaries`: object ids and names of the people who would get what is asked for.
    """

    plan: str
    facts: str
    stage: str
    side: Side
    run: str
    requester: str | None = None
    subject: Subject = "stage"
    beneficiaries: tuple[str, ...] = ()

    @classmethod
    def of(cls, approval: Approval, requester: str | None) -> Asked:
        """Return the gate that a recorded approval answered."""
        return cls(
            plan=approval.plan,
            facts=approval.facts,
            stage=approval.stage,
            side=approval.moment,
            run=approval.run,
            requester=requester,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Who signed what, why other signatures do not count, and what is missing. Empty `missing`: the gate may open."""

    people: tuple[SignIn, ...]
    signed: tuple[SignedApproval, ...]
    refused: tuple[str, ...]
    missing: str

    @property
    def codes(self) -> tuple[str, ...]:
        """The approval codes that count."""
        return tuple(one.code for one in self.signed)

    @property
    def words(self) -> str:
        """Who signed: the names for people, in the order of their signatures."""
        return ", ".join(one.words for one in self.people)


def count(gate: Gate, asked: Asked, signatures: Iterable[Signature], *, at: Iterable[datetime]) -> Count:
    """Count the signatures at a gate that has approvers. One that counted at one of the moments `at` counts.

    Raises ValueError for a gate without approvers.
    """
    approvers, moments = gate.approvers, tuple(at)
    if approvers is None:
        raise ValueError("this gate has no approvers")
    people: dict[str, SignIn] = {}
    signed = []
    refused = []
    for one in signatures:
        why = why_not(one, gate, approvers, asked, moments)
        if one.sign_in is not None and not why:
            people.setdefault(one.sign_in.object_id.lower(), one.sign_in)
            signed.append(one.signed)
        else:
            who = one.sign_in.words if one.sign_in else f"approval code {one.signed.code}"
            refused.append(f"{who}: {why}")
    missing = ""
    needed = max(approvers.at_least, 1)  # a plan may come from anywhere
    if len(people) < needed:
        missing = f"{len(people)} of {needed} signed approvals"
    return Count(people=tuple(people.values()), signed=tuple(signed), refused=tuple(refused), missing=missing)


def why_not(signature: Signature, gate: Gate, approvers: Approvers, asked: Asked, moments: tuple[datetime, ...]) -> str:
    """Return why a signature does not count. Empty if it counts."""
    if signature.problem:
        return signature.problem
    if signature.sign_in is None:
        return "its sign-in could not be read"
    signed, sign_in = signature.signed, signature.sign_in
    return (
        _another_question(signed.statement, asked)
        or _another_sign_in(signed.commitment, sign_in, approvers)
        or _wrong_time(signed, sign_in, gate, approvers, moments)
        or _wrong_person(sign_in, approvers, asked, signature.member)
    )


def _another_question(statement: Statement, asked: Asked) -> str:
    for words, given, wanted in (
        ("the decision", statement.decision, "approve"),
        ("subject", statement.subject, asked.subject),
        ("plan", statement.plan, asked.plan),
        ("findings", statement.facts, asked.facts),
        ("stage", statement.stage, asked.stage),
        ("side of the stage", statement.side, asked.side),
        ("run", statement.run, asked.run),
    ):
        if given != wanted:
            return f"it is for another question: {words} {given or 'unknown'}, not {wanted or 'unknown'}"
    return ""


def _another_sign_in(commitment: Commitment, sign_in: SignIn, approvers: Approvers) -> str:
    if not sign_in.person:
        return "it is the token of an application, or an access token, not a person's ID token"
    tenant = approvers.tenant_id.lower()
    for kind, given, wanted in (
        ("tenant", sign_in.tenant_id.lower(), tenant),
        ("issuer", sign_in.issuer, ISSUER.format(tenant=tenant)),
    ):
        if given != wanted:
            return f"the sign-in is of {kind} {given or 'unknown'}, not of {wanted}"
    if sign_in.audience.lower() != approvers.client_id.lower():
        return f"the sign-in is for application {sign_in.audience or 'unknown'}, not for {approvers.client_id}"
    own = f"{approvers.tenant_id}/{approvers.client_id}".lower()
    if commitment.application and commitment.application.lower() != own:
        return f"the sign-in commits to application {commitment.application}, not to {own}"
    if sign_in.nonce != commitment.nonce:
        return "the sign-in does not commit to this key: its nonce is another one"
    return ""


def _wrong_time(
    signed: SignedApproval, sign_in: SignIn, gate: Gate, approvers: Approvers, moments: tuple[datetime, ...]
) -> str:
    made, said = when(signed.commitment.at), when(signed.statement.at)
    longest = sign_in.issued_at + approvers.key_lasts
    committed = when(signed.commitment.until) if signed.commitment.until else longest
    if made is None or said is None or committed is None:
        return "it has no time"
    until = min(committed, longest)
    if not made - CLOCKS <= sign_in.issued_at <= made + SIGN_IN_TAKES:
        return "the sign-in was not made for this key: its time is another one"
    if not made - CLOCKS <= said <= until:
        return f"its key signs until {stamp(until)}, and not at {signed.statement.at}"
    if not any(said <= at + CLOCKS and gate.counts(said, at) for at in moments):
        return f"it is of {signed.statement.at}, and an approval is valid for {in_words(gate.expires_after)}"
    return ""


def _wrong_person(sign_in: SignIn, approvers: Approvers, asked: Asked, member: bool | None) -> str:
    if not sign_in.object_id:
        return "the sign-in does not say who it is"
    if member is None:
        return "it could not be read whether the person is in a group of the approvers"
    if not member:
        return "the person is in no group of the approvers"
    return _concerned(sign_in, approvers, asked)


def _concerned(sign_in: SignIn, approvers: Approvers, asked: Asked) -> str:
    """Say why a member of the approvers may not decide this question."""
    own = {sign_in.object_id.casefold(), sign_in.name.casefold()} - {""}
    if not own.isdisjoint(one.casefold() for one in asked.beneficiaries):
        return "the person would get what is asked for, and may not approve it"
    if approvers.not_requester:
        if asked.requester is None:
            return "it is not known who started the run, and that person may not approve it"
        if asked.requester.casefold() in own:
            return "the person started the run, and may not approve it"
    return ""


def not_accepted(gate: Gate | None, accepted: frozenset[str]) -> str:
    """Return why a worker that accepts only these approvers does not accept a gate. Empty: it does.

    `accepted` has texts `tenant id/client id/group id` in lower case; empty: any. The application counts, because
    another one could be made to put other values into the claim `groups`.
    """
    if not accepted:
        return ""
    if gate is None or not gate.approval or gate.approvers is None:
        return "this worker begins nothing that its approvers did not sign"
    who = gate.approvers
    others = sorted({f"{who.tenant_id}/{who.client_id}/{group}".lower() for group in who.groups} - accepted)
    return f"this worker does not accept the approvers {', '.join(others)}" if others else ""


def member_by_token(sign_in: SignIn, approvers: Approvers) -> bool | None:
    """Return whether the token names a group of the approvers. None: it has too many groups to name them."""
    if sign_in.overage:
        return None
    return not {one.lower() for one in sign_in.groups or ()}.isdisjoint(one.lower() for one in approvers.groups)


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sign_in_of(claims: dict[str, Any]) -> SignIn:
    """Return what the claims of a token say. Raises ValueError if a claim that is needed is missing or malformed.

    Source: https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference.
    """
    groups, names = claims.get("groups"), claims.get("_claim_names")
    try:
        issued_at = datetime.fromtimestamp(int(claims["iat"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise ValueError("the token does not say when it was issued") from error
    if groups is not None and not (isinstance(groups, list) and all(isinstance(one, str) for one in groups)):
        raise ValueError("the token's `groups` is no list of ids")
    return SignIn(
        issuer=_text(claims, "iss"),
        audience=_text(claims, "aud"),
        tenant_id=_text(claims, "tid"),
        object_id=_text(claims, "oid"),
        name=_text(claims, "preferred_username") or _text(claims, "name"),
        nonce=_text(claims, "nonce"),
        issued_at=issued_at,
        groups=None if groups is None else tuple(groups),
        overage=isinstance(names, dict) and "groups" in names,
        person=not _ACCESS & set(claims),
    )


_ACCESS: Final = frozenset({"appid", "appidacr", "azp", "azpacr", "idtyp", "scp"})
"""Claims of access tokens. A person's ID token has none of them."""


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"the token's `{name}` is no text")  # noqa: TRY004 - the caller knows one error
    return value
