"""Whose a found credential is, and whether it lives, as tables of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture, ServingCertificate
from aks_entra.core.evidence.found_credentials import (
    FoundCredential,
    Kind,
    Life,
    Served,
    cluster_of,
    generation,
    judge,
    served,
    since,
)
from aks_entra.core.evidence.rotation_debt import Record, Sighting

NOW = "2026-11-28T10:00:00Z"
OLD = CertificateAuthority(fingerprint="aa" * 32, not_before="2024-01-01T00:00:00Z")
NEW = CertificateAuthority(fingerprint="bb" * 32, not_before="2026-11-20T08:00:00Z")
PAY = ClusterId(subscription_id="s", resource_group="pay", name="pay-01")
SHOP = ClusterId(subscription_id="s", resource_group="shop", name="shop-01")
CERTIFICATE = FoundCredential(
    kind=Kind.CERTIFICATE,
    server="pay-01.hcp.westeurope.azmk8s.io",
    subject="masterclient",
    issuer_key="0a",
    authority=OLD,
    authority_key="0a",
    signed=True,
    not_before="2024-01-01T00:00:00Z",
    not_after="2027-01-01T00:00:00Z",
)
TOKEN = replace(CERTIFICATE, kind=Kind.STATIC_TOKEN, issuer_key="", signed=False, not_before="", not_after="")


def serving(key: str | None) -> ServingCertificate:
    return ServingCertificate(issuer="CN=ca", issuer_key=key, not_before=NEW.not_before)


def posture(ca: CertificateAuthority | None = None, key: str | None = None, cluster: ClusterId = PAY) -> Posture:
    return Posture(
        cluster=cluster,
        fqdn=f"{cluster.name}.hcp.westeurope.azmk8s.io",
        ca=ca,
        serving=serving(key) if key is not None else None,
    )


def record(sighting: Sighting, ca: CertificateAuthority | None, at: str, source: str = "report 1") -> Record:
    return Record(cluster=PAY.key, sighting=sighting, at=at, ca=ca.fingerprint if ca else None, source=source)


ROTATED = replace(record(Sighting.ROTATED_CLOSED, NEW, "2026-11-20T09:00:00Z"), replaced=OLD.fingerprint)
SEEN_OLD = record(Sighting.ACCOUNTS_OFF, OLD, "2026-11-20T07:00:00Z")
DEAD = record(Sighting.KNOWN_DEAD, NEW, "2026-11-20T10:00:00Z")


KEPT = record(Sighting.AUTHORITY, OLD, "2026-11-20T07:00:00Z")
LONE = replace(CERTIFICATE, server="", recognised=KEPT)
LONE_TOKEN = replace(TOKEN, server="", recognised=replace(KEPT, sighting=Sighting.TOKEN, source=""))
NAMING = replace(CERTIFICATE, server="", authority=None, authority_key="", signed=False)


@pytest.mark.parametrize(
    ("found", "there", "records", "cluster", "how"),
    [
        (LONE, [posture(cluster=SHOP), posture()], [], PAY, "its CA signed it (report 1)"),
        (LONE_TOKEN, [posture(cluster=SHOP), posture()], [], PAY, "its salted hash was kept there"),
        (LONE, [posture(key="0a", cluster=SHOP)], [], None, "its CA signed it (report 1)"),
        (NAMING, [posture(key="0a")], [], PAY, "it names the CA that serves there now"),
        (replace(NAMING, named=KEPT), [posture()], [], PAY, "it names a CA that served there (report 1)"),
        (replace(NAMING, named=replace(KEPT, source="")), [posture()], [], PAY, "it names a CA that served there"),
        (replace(NAMING, named=KEPT), [posture(cluster=SHOP)], [], None, ""),
        (CERTIFICATE, [posture(cluster=SHOP), posture()], [SEEN_OLD], PAY, "a report saw its CA there (report 1)"),
        (CERTIFICATE, [posture()], [replace(SEEN_OLD, source="")], PAY, "a report saw its CA there"),
        (CERTIFICATE, [posture(key="0b"), posture(key="0a", cluster=SHOP)], [], SHOP, "its CA serves there now"),
        (CERTIFICATE, [posture(cluster=SHOP), posture()], [], PAY, "the file names its API server"),
        (replace(CERTIFICATE, server=""), [posture(NEW)], [ROTATED], PAY, "a report saw its CA there (report 1)"),
        (replace(CERTIFICATE, server=""), [posture(key="0b")], [], None, ""),
        (
            replace(CERTIFICATE, server="elsewhere"),
            [posture()],
            [SEEN_OLD],
            PAY,
            "a report saw its CA there (report 1)",
        ),
        (replace(TOKEN, authority=None, authority_key="", server=""), [posture(key="0b")], [SEEN_OLD], None, ""),
        (replace(TOKEN, kind=Kind.ENTRA_TOKEN), [posture()], [SEEN_OLD], PAY, "the file names its API server"),
        (replace(CERTIFICATE, server="", issuer_key="", authority_key=""), [posture(key=None)], [], None, ""),
    ],
)
def test_the_ca_tells_the_cluster_and_else_the_server(
    found: FoundCredential, there: list[Posture], records: list[Record], cluster: ClusterId | None, how: str
) -> None:
    owner, known_by = cluster_of(found, there, records)
    assert (owner.cluster if owner else None, known_by) == (cluster, how)


@pytest.mark.parametrize(
    ("found", "there", "records", "life", "words"),
    [
        (CERTIFICATE, posture(OLD), [], Life.ALIVE, "its CA serves now; closed local accounts do not end"),
        (replace(CERTIFICATE, has_key=False), posture(OLD), [], Life.ALIVE, "lacks the private key"),
        (replace(TOKEN, has_key=False), posture(OLD), [], Life.ALIVE, "closed local accounts do not end"),
        (CERTIFICATE, posture(key="0a"), [], Life.ALIVE, "its CA serves now"),
        (TOKEN, posture(key="0a"), [], Life.ALIVE, "its CA serves now"),
        (replace(CERTIFICATE, signed=False), posture(OLD, "0b"), [], Life.DEAD, "it names as its issuer was replaced"),
        (
            CERTIFICATE,
            posture(NEW),
            [],
            Life.DEAD,
            "replaced: the CA that serves now is valid from 2026-11-20T08:00:00Z",
        ),
        (CERTIFICATE, posture(NEW), [SEEN_OLD, ROTATED], Life.DEAD, "was replaced on 2026-11-20T09:00:00Z (report 1)"),
        (
            CERTIFICATE,
            posture(NEW),
            [SEEN_OLD, replace(ROTATED, source="")],
            Life.DEAD,
            "replaced on 2026-11-20T09:00:00Z",
        ),
        (CERTIFICATE, posture(key="0b"), [], Life.DEAD, "the CA that signed it was replaced"),
        (
            replace(CERTIFICATE, not_after="2026-11-28T10:00:00Z"),
            posture(OLD),
            [],
            Life.DEAD,
            "it expired on 2026-11-28",
        ),
        (replace(CERTIFICATE, not_after="2026-11-28T10:00:01Z"), posture(OLD), [], Life.ALIVE, "its CA serves now"),
        (CERTIFICATE, posture(), [], Life.UNKNOWN, "it is not known under which CA"),
        (CERTIFICATE, posture(key=""), [], Life.UNKNOWN, "it is not known under which CA"),
        (replace(TOKEN, authority=None, authority_key=""), posture(NEW, "0b"), [], Life.UNKNOWN, "it is not known"),
        (LONE, None, [], Life.UNKNOWN, f"it belongs to {PAY.key}, which is gone, or which this identity cannot see"),
        (replace(NAMING, refuted=True), posture(OLD, "0a"), [], Life.UNKNOWN, "but that CA did not sign it"),
        (replace(NAMING, refuted=True), posture(NEW, "0b"), [], Life.DEAD, "was replaced"),
        (CERTIFICATE, None, [], Life.UNKNOWN, "no cluster that this identity can see"),
        (TOKEN, posture(NEW), [], Life.UNKNOWN, "no report shows that its token was refused since"),
        (TOKEN, posture(key="0b"), [DEAD], Life.UNKNOWN, "no report shows that its token was refused since"),
        (TOKEN, posture(NEW), [DEAD], Life.DEAD, "refused under the CA that serves now (report 1)"),
        (TOKEN, posture(NEW), [replace(DEAD, cluster="other")], Life.UNKNOWN, "no report shows"),
        (TOKEN, posture(NEW), [replace(DEAD, ca=OLD.fingerprint)], Life.UNKNOWN, "no report shows"),
        (
            TOKEN,
            posture(NEW),
            [DEAD, Record(cluster="", sighting=Sighting.UNREADABLE, at="", source="broken.json")],
            Life.UNKNOWN,
            "and broken.json cannot be read",
        ),
        (
            CERTIFICATE,
            posture(NEW),
            [record(Sighting.LET_IN, NEW, "2026-11-21T00:00:00Z")],
            Life.UNKNOWN,
            "a credential from before was let in on 2026-11-21T00:00:00Z (report 1)",
        ),
        (CERTIFICATE, posture(NEW), [record(Sighting.LET_IN, OLD, "2026-11-01T00:00:00Z")], Life.DEAD, "was replaced"),
        (replace(CERTIFICATE, kind=Kind.AUTHORITY), None, [], Life.HARMLESS, "is public and opens nothing"),
        (FoundCredential(kind=Kind.COMMAND, subject="kubelogin"), None, [], Life.HARMLESS, "it runs kubelogin"),
        (
            FoundCredential(kind=Kind.COMMAND, subject=r"C:\tools\Kubelogin.EXE"),
            None,
            [],
            Life.HARMLESS,
            "signs in anew",
        ),
        (
            FoundCredential(kind=Kind.COMMAND, subject="/bin/sh"),
            None,
            [],
            Life.UNKNOWN,
            "it runs /bin/sh, and it is not",
        ),
        (
            FoundCredential(kind=Kind.COMMAND, subject="kubelogin", secrets=("--client-secret", "AZURE_PASSWORD")),
            None,
            [],
            Life.UNKNOWN,
            "secrets that are in this file: --client-secret, AZURE_PASSWORD",
        ),
        (FoundCredential(kind=Kind.PRIVATE_KEY), None, [], Life.UNKNOWN, "only its certificate says what it opens"),
        (FoundCredential(kind=Kind.CERTIFICATE, unread=True), None, [], Life.UNKNOWN, "in this file is damaged"),
        (replace(CERTIFICATE, elsewhere="client.pem"), posture(OLD), [], Life.UNKNOWN, "in another file: client.pem"),
        (
            FoundCredential(kind=Kind.ENTRA_TOKEN, subject="dana", not_after="2026-11-28T11:00:00Z"),
            None,
            [],
            Life.ALIVE,
            "until 2026-11-28T11:00:00Z, wherever dana has rights",
        ),
        (FoundCredential(kind=Kind.ENTRA_TOKEN, subject="dana"), None, [], Life.ALIVE, "until its end"),
        (
            FoundCredential(kind=Kind.SERVICE_ACCOUNT_TOKEN),
            posture(OLD),
            [],
            Life.UNKNOWN,
            "nothing but its API server",
        ),
        (FoundCredential(kind=Kind.PASSWORD), posture(OLD), [], Life.UNKNOWN, "nothing but its API server"),
    ],
)
def test_a_credential_is_dead_only_where_something_proves_it(
    found: FoundCredential, there: Posture | None, records: list[Record], life: Life, words: str
) -> None:
    judgement = judge(found, there, records, NOW)
    assert (judgement.life, words in judgement.because) == (life, True), judgement
    assert bool(judgement.next) == (life in {Life.ALIVE, Life.UNKNOWN})


def test_a_generation_is_named_by_its_ca_or_by_its_key() -> None:
    assert generation(CERTIFICATE) == "CA aaaaaaaaaaaa, valid from 2024-01-01 on"
    assert generation(TOKEN) == "CA aaaaaaaaaaaa, valid from 2024-01-01 on"
    assert generation(replace(CERTIFICATE, signed=False)) == "CA with the key 0a"
    assert generation(FoundCredential(kind=Kind.STATIC_TOKEN)) == ""
    assert since(CERTIFICATE) == OLD.not_before
    assert since(TOKEN) == OLD.not_before
    assert since(replace(CERTIFICATE, signed=False, not_before="2025-05-05T00:00:00Z")) == "2025-05-05T00:00:00Z"
    assert generation(replace(TOKEN, authority=replace(OLD, not_before=""))) == "CA aaaaaaaaaaaa"


OLDEST = CertificateAuthority(fingerprint="cc" * 32, not_before="2022-01-01T00:00:00Z")
FIRST_ROTATION = replace(record(Sighting.FOUND_ROTATED, OLD, "2024-01-01T01:00:00Z"), replaced=OLDEST.fingerprint)
ELSEWHERE = replace(SEEN_OLD, cluster="other", at="2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("found", "there", "records", "expected"),
    [
        (
            LONE,
            posture(NEW),
            [ROTATED, FIRST_ROTATION, ELSEWHERE, KEPT],
            Served(number=2, known=3, first=FIRST_ROTATION.at, until=ROTATED.at),
        ),
        (
            replace(LONE, authority=OLDEST),
            posture(NEW),
            [ROTATED, FIRST_ROTATION],
            Served(number=1, known=3, until=FIRST_ROTATION.at),
        ),
        (replace(LONE, authority=NEW), posture(NEW), [ROTATED], Served(number=2, known=2, first=ROTATED.at, now=True)),
        (LONE_TOKEN, posture(), [KEPT], Served(number=1, known=1, first=KEPT.at)),
        (LONE, posture(NEW), [KEPT], Served(number=1, known=2, first=KEPT.at)),
        (LONE, posture(NEW), [replace(KEPT, at=""), record(Sighting.LET_IN, None, "2024-01-01T00:00:00Z")], None),
        (LONE, None, [KEPT], None),
        (replace(LONE, authority=None), posture(NEW), [KEPT], None),
        (replace(LONE, signed=False), posture(NEW), [KEPT], None),
    ],
)
def test_records_and_the_ca_that_serves_give_the_generation_of_a_credential(
    found: FoundCredential, there: Posture | None, records: list[Record], expected: Served | None
) -> None:
    assert served(found, there, records) == expected
