"""What is known of credentials that somebody found, for a terminal and as JSON. It does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from aks_entra.core.evidence.found_credentials import Life
from aks_entra.planning.found_credentials import Answer
from aks_entra.report.terminal import SafeText, safe_line, side_by_side

_STYLES: Final = {Life.ALIVE: "bold red", Life.DEAD: "green", Life.UNKNOWN: "magenta", Life.HARMLESS: "dim"}
_MOST: Final = 20  # receivers that are listed


def render(answers: Iterable[Answer]) -> Iterator[SafeText]:
    """Yield the lines: one block for each credential."""
    for answer in answers:
        found, judged = answer.found, answer.judgement
        title = f"{found.kind}{f' ({found.name})' if found.name else ''}: "
        yield side_by_side(safe_line(title, "bold"), safe_line(judged.life, _STYLES[judged.life]))
        for name, text in _lines(answer):
            yield side_by_side(safe_line(f"  {name:<10}", "dim"), safe_line(text))
        if judged.next:
            yield safe_line(f"  → {judged.next}")


def _lines(answer: Answer) -> Iterator[tuple[str, str]]:
    found = answer.found
    yield "because", answer.judgement.because
    if answer.posture is not None:
        yield "cluster", f"{answer.posture.cluster} ({answer.known_by})"
    elif found.recognised is not None:
        yield "cluster", f"{found.recognised.cluster} ({answer.known_by})"
    elif found.server:
        yield "server", found.server
    if answer.generation:
        yield "issued by", f"{answer.generation}{_place(answer)}"
    if found.subject:
        groups = f" in {', '.join(found.groups)}" if found.groups else ""
        yield "signs in", f"{found.subject}{groups}"
    if found.not_after:
        yield "valid", f"from {found.not_before} to {found.not_after}"
    for one in answer.fetched[-_MOST:]:
        yield "fetched by", f"{one.to} at {one.at}{'' if one.ended else ' (asked for it; the answer is not known)'}"
    if len(answer.fetched) > _MOST:
        yield "", f"and {len(answer.fetched) - _MOST} earlier requests: `-o json` shows all of them"
    if answer.log:
        yield "log", answer.log


def _place(answer: Answer) -> str:
    """Say which of the cluster's CAs it came with, and how long that one served."""
    one = answer.served
    if one is None:
        return ""
    first = f", first seen on {one.first[:10]}" if one.first else ""
    end = "it serves now" if one.now else f"served until {one.until}" if one.until else "no record shows when it ended"
    return f" (number {one.number} of {one.known} that are known{first}; {end})"


def document(answers: Iterable[Answer]) -> dict[str, Any]:
    """Return the answers as a JSON document. It contains no secret."""
    return {"kind": "aks-entra/whose", "credentials": [_row(one) for one in answers]}


def _row(answer: Answer) -> dict[str, Any]:
    found, judged = answer.found, answer.judgement
    return {
        "credential": found.kind,
        "name": found.name,
        "life": judged.life,
        "because": judged.because,
        "next": judged.next,
        "cluster": _cluster(answer),
        "knownBy": answer.known_by,
        "server": found.server,
        "subject": found.subject,
        "groups": list(found.groups),
        "issuer": found.issuer,
        "authority": found.authority.fingerprint if found.authority else None,
        "generation": answer.generation,
        "served": asdict(answer.served) if answer.served else None,
        "notBefore": found.not_before,
        "notAfter": found.not_after,
        "fetchedBy": [{"at": one.at, "to": one.to, "ended": one.ended} for one in answer.fetched],
        "log": answer.log,
    }


def _cluster(answer: Answer) -> str | None:
    if answer.posture is not None:
        return answer.posture.cluster.resource_id
    return answer.found.recognised.cluster if answer.found.recognised else None
