"""Our own records of grants: where, under which name, until when. They contain no secret.

A record is stored before the grant is written, so that the sweep finds the grant even if the run dies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from aks_entra.core.access.grants import Ask, Grant, Via
from aks_entra.core.durations import NEVER, moment, stamp
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, migration_records
from aks_entra.prefect_client.names import END_ACCESS, hexadecimal, key
from aks_entra.prefect_client.scheduled_sweeps import announce_end
from aks_entra.text.markdown import for_markdown


@dataclass(slots=True)
class Announced:
    """Where runs gave access (subscription ids), the ends of the grants by name, and the damaged records."""

    subscriptions: tuple[str, ...] = ()
    ends: dict[str, datetime | None] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


async def announce(ask: Ask, *, attended: bool) -> None:
    """Schedule the sweep for the end of a grant, then store where it gives access. Call it before the write.

    The record has the name of the grant and its end. `attended`: a flow run waits for the end. Raises as
    `announce_end` does.
    """
    await announce_end(END_ACCESS, ask.end, lambda: _store(ask), attended=attended)


async def _store(ask: Ask) -> None:
    record = {
        "subscription": ask.cluster.subscription_id.lower(),
        "cluster": ask.cluster.key,
        "name": ask.name,
        "until": stamp(ask.end) if ask.end else NEVER,
    }
    await artifacts.put(
        key("grant", hexadecimal(ask.digest)), json.dumps(record), kind="grant", page=for_markdown(str(ask))
    )


async def announced() -> Announced:
    """Return everything that was announced. A record that cannot be read is named, and the others still count.

    If one name has several ends, the latest counts, because an extension has the same name.
    """
    found = Announced()
    for one in await artifacts.newest("grant-"):
        try:
            record = json.loads(one.text)
            subscription = str(record["subscription"])
            until = _until(record)
        except (Refused, ValueError, KeyError, TypeError):
            found.damaged += (one.key,)
            continue
        found.subscriptions = tuple(dict.fromkeys((*found.subscriptions, subscription)))
        if "name" in record:
            known = found.ends.get(str(record["name"]), until)
            found.ends[str(record["name"])] = _later(known, until)
    return found


def ended_before(text: str, moment_: datetime) -> bool:
    """Whether a record says that its grant ended before a moment. False: it has no end, or it cannot be read."""
    try:
        until = _until(json.loads(text))
    except (ValueError, KeyError, TypeError):
        return False
    return until is not None and until < moment_


def _until(record: dict[str, Any]) -> datetime | None:
    return _end(str(record["until"])) if "until" in record else None


async def known_subscriptions() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the subscriptions of every fleet's last plan and of every grant, and the damaged records."""
    plans, given = await migration_records.last_found(), await announced()
    planned = [member.cluster.subscription_id.lower() for _, plan in plans.read for member in plan.clusters]
    damaged = (*(one.key for one in plans.unread), *given.damaged)
    return tuple(dict.fromkeys([*planned, *given.subscriptions])), tuple(dict.fromkeys(damaged))


async def note_given(run: UUID, grant: Grant) -> None:
    """Note what a run granted. The run waits for the end without a process, and then starts from the top."""
    text = {
        **{name: getattr(grant, name) for name in _PLAIN},
        "via": grant.via.value,
        "until": stamp(grant.until) if grant.until else NEVER,
    }
    await artifacts.put(key("granted", str(run)), json.dumps(text), kind="note", page=for_markdown(grant.id))


async def given_by(run: UUID) -> Grant | None:
    """Return what a run granted, or None if it did not yet. Raises Refused if the note is damaged."""
    found = await artifacts.get(key("granted", str(run)))
    if found is None:
        return None
    try:
        said: dict[str, Any] = json.loads(found.text)
        return Grant(
            via=Via(said["via"]),
            id=str(said["id"]),
            cluster_key=str(said["cluster_key"]),
            principal_id=str(said["principal_id"]),
            principal_kind=str(said["principal_kind"]),
            role=str(said["role"]),
            namespace=str(said["namespace"]),
            until=_end(str(said["until"])),
            text=str(said["text"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"what this run granted cannot be read: artifact {found.key} is damaged",
            remedy="the sweep (deployment end-access) ends the grant at its end; sooner: aks-entra access revoke",
        ) from error


_PLAIN = ("id", "cluster_key", "principal_id", "principal_kind", "role", "namespace", "text")


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else max(one, other)


def _end(text: str) -> datetime | None:
    return None if text == NEVER else moment(text)
