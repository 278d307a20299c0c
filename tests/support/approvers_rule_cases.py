"""Cases of the rule about the people who have to sign approvals."""

from __future__ import annotations

from typing import Any

from aks_entra.core.preflight import ApproversSeen, Facts
from tests.support.cases import facts, group, managed, target


def signing(*groups: Any, users: int | None = 2, **how: Any) -> Facts:
    """Return facts with the approvers of one gate. Two people of a group with two must sign, unless it is changed."""
    defaults: dict[str, Any] = {"at_least": 2, "not_requester": False}
    seen = ApproversSeen(groups=groups or (group("g", people=2),), users=users, **{**defaults, **how})
    return facts(approvers=(seen,))


GONE = group("gone", exists=False, display_name="", people=None, members=None, eligible=None)
DELETED = group("deleted", display_name="old", deleted_on="2026-11-02T08:00:00Z", people=None, eligible=None)
MAIL = group("mail", display_name="news", security_enabled=False)
EMPTY, ONE = group("empty", display_name="signers", people=0), group("one", display_name="signers", people=1)

APPROVERS = [
    (rule, words, managed(), target(), known)
    for rule, words, known in (
        ("B066", "2 people of signers (empty) must sign before a gate opens, and nobody can", signing(EMPTY, users=0)),
        ("B066", "and only 1 person can", signing(ONE, users=1)),
        ("B066", "and only 2 people can", signing(ONE, ONE, ONE, at_least=3)),
        ("B066", "and only 1 person can", signing(ONE, ONE, users=1)),
        ("B066", "1 person of gone must sign", signing(GONE, at_least=1, users=0)),
        ("B066", "nobody can; group gone does not exist", signing(GONE, users=0)),
        ("B066", "nobody can; group old (deleted) was deleted on 2026-11-02", signing(DELETED, users=0)),
        ("B066", "group news (mail) is not security-enabled, so sign-ins do not name it", signing(MAIL, users=0)),
        ("W166", "names groups that let nobody sign; group gone does not exist", signing(group("g", people=2), GONE)),
        (
            "W166",
            "others must activate their membership first (1 eligible)",
            signing(group("g", people=1, eligible=1), users=1),
        ),
        ("W166", "who starts the run does not count", signing(not_requester=True)),
        ("U166", "who is eligible for membership could not be read", signing(group("g", people=1, eligible=None))),
        ("U166", "the members of aks-admins (g) could not be read", signing(group("g", people=None), users=None)),
        ("U166", "the members of aks-admins (g), aks-admins (h)", signing(group("g"), group("h"), users=None)),
        ("U166", "are in tenant another", signing(users=None, other_tenant="another")),
    )
]
