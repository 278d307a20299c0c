"""A request that is no stage of a plan, and whose approval people sign: for access, for a policy, for break-glass."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from aks_entra.core.digests import sha256_of_text
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import Asked, Subject

HOUR: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What is asked, and who has to sign. `text` is a JSON object that names everything that the approval allows.

    `requester` and `beneficiaries` are those of `Asked`.
    """

    subject: Subject
    text: str
    approvers: Approvers
    requester: str | None = None
    beneficiaries: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The digest that an approval names."""
        return sha256_of_text(self.text)

    @property
    def gate(self) -> Gate:
        """The gate that counts the signatures. An approval of break-glass is valid for an hour, others for a day."""
        if self.subject == "break-glass":
            return Gate(approvers=self.approvers, expires_after=HOUR)
        return Gate(approvers=self.approvers)

    def asked(self, run: str) -> Asked:
        """Return the question, as it is asked at the gate of a run."""
        return Asked(
            plan=self.digest,
            facts="",
            stage=self.subject,
            side="before",
            run=run,
            requester=self.requester,
            subject=self.subject,
            beneficiaries=self.beneficiaries,
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """What is asked, for people: one line for each value. Empty for a text that is no JSON object."""
        try:
            said = json.loads(self.text)
        except ValueError:
            return ()
        if not isinstance(said, dict):
            return ()
        return tuple(f"{name}: {_words(value)}" for name, value in said.items() if value not in ("", [], None))


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
