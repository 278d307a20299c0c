"""Every kind of door is weighed from facts: closed needs a proof, and what was not read is never closed."""

from __future__ import annotations

import pytest

from aks_entra.core.cluster import Pool, Posture
from aks_entra.core.doors import registry
from aks_entra.core.doors.facts import NOBODY_LOOKED, DoorFacts, JwtAuthenticator, Unread
from aks_entra.core.doors.model import Door, DoorState, closed
from tests.support.cases import SHOP

LIST_CREDENTIAL = "Microsoft.ContainerService/managedClusters/managedNamespaces/listCredential/action"
UNREAD = Unread(why="ARM answered 403", remedy="grant the right")
GITHUB = JwtAuthenticator(name="github", issuer="https://token.actions.githubusercontent.com")


def pools(**access: str) -> Posture:
    """A cluster with one pool for each name, with its `sshAccess`."""
    return Posture(cluster=SHOP, pools=tuple(Pool(name=name, ssh_access=value) for name, value in access.items()))


def weighed(kind: str, facts: DoorFacts) -> Door:
    """The door of one kind."""
    return next(door for door in registry.doors_of(facts) if door.kind == kind)


@pytest.mark.parametrize(
    ("kind", "facts", "state", "because"),
    [
        ("jwt-authenticators", DoorFacts(jwt_authenticators=()), "closed", "ARM lists no JWT authenticator"),
        (
            "jwt-authenticators",
            DoorFacts(jwt_authenticators=(GITHUB,)),
            "open",
            "github accepts tokens of https://token.actions.githubusercontent.com",
        ),
        (
            "jwt-authenticators",
            DoorFacts(jwt_authenticators=(JwtAuthenticator(name="half", issuer=""),)),
            "open",
            "half accepts tokens of an issuer that ARM does not show",
        ),
        ("jwt-authenticators", DoorFacts(jwt_authenticators=UNREAD), "not looked at", "ARM answered 403"),
        ("managed-namespaces", DoorFacts(managed_namespaces=()), "closed", "ARM lists no managed namespace"),
        (
            "managed-namespaces",
            DoorFacts(managed_namespaces=("pay",)),
            "open",
            f"pay: everyone with {LIST_CREDENTIAL} or a role on this namespace",
        ),
        ("managed-namespaces", DoorFacts(managed_namespaces=UNREAD), "not looked at", "ARM answered 403"),
        (
            "node-ssh",
            DoorFacts(posture=pools(a="Disabled", b="EntraId")),
            "closed",
            "a: Disabled, b: EntraId, on nodes that were reimaged since",
        ),
        (
            "node-ssh",
            DoorFacts(posture=pools(a="Disabled", b="LocalUser", c="")),
            "open",
            "b: everyone with a private key of its local user, c: ARM does not show sshAccess",
        ),
        (
            "node-ssh",
            DoorFacts(posture=pools(a="Disabled", b="Passkey", c="")),
            "not looked at",
            "b: ARM shows sshAccess Passkey, which this version does not know; c: ARM does not show sshAccess",
        ),
        ("node-ssh", DoorFacts(posture=pools()), "not looked at", "ARM lists no pool of this cluster"),
        ("node-ssh", DoorFacts(posture=UNREAD), "not looked at", "ARM answered 403"),
    ],
)
def test_a_door_is_weighed_from_what_was_read(kind: str, facts: DoorFacts, state: str, because: str) -> None:
    door = weighed(kind, facts)
    assert (door.state, ", ".join(door.because)) == (state, because)


def test_a_door_that_nobody_read_is_not_looked_at() -> None:
    doors = registry.doors_of(DoorFacts())
    assert [door.kind for door in doors] == [kind.id for kind in registry.KINDS]
    assert {(door.state, door.because) for door in doors} == {(DoorState.NOT_LOOKED_AT, (NOBODY_LOOKED.why,))}


def test_a_door_names_only_the_first_of_many_namespaces() -> None:
    many = weighed("managed-namespaces", DoorFacts(managed_namespaces=tuple(f"team-{number}" for number in range(500))))
    assert (len(many.because), many.because[-1]) == (21, "and 480 more")


def test_an_open_or_unread_door_says_what_helps() -> None:
    everything = DoorFacts(posture=pools(a="LocalUser"), jwt_authenticators=(GITHUB,), managed_namespaces=("pay",))
    unread = DoorFacts(posture=pools(a=""), jwt_authenticators=UNREAD, managed_namespaces=UNREAD)
    for facts in (everything, unread):
        for kind in ("jwt-authenticators", "managed-namespaces", "node-ssh"):
            assert weighed(kind, facts).remedy


def test_each_kind_of_door_is_listed_once_with_a_title_and_a_sentence() -> None:
    assert len(registry.IDS) == len(registry.KINDS)
    assert len({kind.title for kind in registry.KINDS}) == len(registry.KINDS)
    for kind in registry.KINDS:
        assert kind.says.endswith(".")
        assert "\n" not in kind.says
        assert registry.title_of(kind.id) == kind.title


def test_a_record_without_a_kind_says_that_nobody_looked() -> None:
    seen = Door(kind="node-ssh", state=DoorState.CLOSED, because=("a: Disabled",))
    newer = Door(kind="of-tomorrow", state=DoorState.OPEN, because=("somebody",))
    doors = registry.complete((newer, seen))
    assert [door.kind for door in doors] == [*(kind.id for kind in registry.KINDS), "of-tomorrow"]
    assert {door.kind for door in doors if door.state is DoorState.NOT_LOOKED_AT} == registry.IDS - {"node-ssh"}
    assert registry.title_of("of-tomorrow") == "of-tomorrow"


def test_the_summary_names_what_is_open_and_what_nobody_looked_at() -> None:
    half = registry.doors_of(DoorFacts(jwt_authenticators=(GITHUB,), posture=pools(a="LocalUser")))
    assert registry.words_of(half).startswith("open: jwt-authenticators, node-ssh; not looked at: managed-namespaces")
    shut = [closed(kind.id, "seen") for kind in registry.KINDS]
    assert registry.words_of(shut) == f"all {len(registry.KINDS)} closed"


def test_only_a_proof_closes_a_door_that_must_be_closed() -> None:
    seen = registry.doors_of(DoorFacts(jwt_authenticators=(), posture=pools(a="LocalUser")))
    wanted = ("jwt-authenticators", "managed-namespaces", "node-ssh")
    assert [door.kind for door in registry.unproven(seen, wanted)] == ["managed-namespaces", "node-ssh"]
    assert [door.kind for door in registry.unproven((), ("node-ssh",))] == ["node-ssh"]
    assert registry.unproven(seen, ()) == ()


def test_a_door_that_a_newer_version_asked_for_is_not_taken_for_closed() -> None:
    (door,) = registry.unproven((), ("of-tomorrow",))
    assert (door.state, door.because) == (DoorState.NOT_LOOKED_AT, ("this version does not know this door",))
    assert door.remedy
