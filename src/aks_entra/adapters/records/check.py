"""Checks a whole store of records: digests, gaps, unfinished writes, and what does not belong there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aks_entra.adapters.records.blobs import Blobs
from aks_entra.adapters.records.prune import Pruning
from aks_entra.adapters.records.store import AT_ONCE, ROOT, Name, parsed
from aks_entra.bounded_gather import bounded_gather
from aks_entra.errors import Refused

Kind = Literal["damaged", "missing", "unfinished", "foreign"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. `what` is a path or a digest. An unfinished write lost nothing: its writer said so."""

    kind: Kind
    what: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes:
        records: how many records there are.
        keys: how many keys they have.
        last: how many records no other one names. Whoever removes one of these leaves no gap.
        state: digest of the names of all records. Keep it elsewhere: it changes when any record is added or removed.
        pruned: how many records are gone that another one rests on, and that a removal names.
        prunings: what `records prune` removed, by the key of the record that says so.
        problems: what is wrong, in the order of paths.
    """

    records: int
    keys: int
    last: int
    state: str
    problems: tuple[Problem, ...]
    pruned: int = 0
    prunings: Mapping[str, Pruning] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether the store has records, all of them are whole, and none is missing. An empty store does not pass."""
        return self.records > 0 and not any(one.kind in {"damaged", "missing"} for one in self.problems)


async def check(blobs: Blobs, tell: Callable[[str], None] = lambda _text: None) -> Checked:
    """Read every record and say what is wrong. Raises Refused or TryLater if the store cannot be read."""
    paths = await blobs.names("")
    ours = {path: name for path in paths if path.startswith(ROOT) and (name := Name.parse(path))}
    problems = [
        Problem(kind="foreign", what=path, because="aks-entra stored no such file")
        for path in paths
        if path not in ours
    ]
    problems += [
        Problem(kind="unfinished", what=path, because="a process ended while it wrote it; nothing rests on it")
        for path in await blobs.leftovers()
    ]
    named: dict[str, str] = {}
    prunings: dict[str, Pruning] = {}
    pruned: set[str] = set()
    done = 0

    async def read(path: str) -> Problem | None:
        nonlocal done
        content = await blobs.read(path)
        done += 1
        tell(f"checked {done} of {len(ours)} records")
        if content is None:
            return Problem(kind="missing", what=path, because="it was removed during this check")
        try:
            record, _ = parsed(path, content)
            pruning = Pruning.of(record)
        except Refused as error:
            return Problem(kind="damaged", what=path, because=error.message)
        named.update(dict.fromkeys(record.before, path))
        if pruning is not None:
            pruned.update(pruning.records)
            if pruning.done or record.key not in prunings:
                prunings[record.key] = pruning
        return None

    problems += [one for one in await bounded_gather(read, ours, at_once=AT_ONCE) if one is not None]
    there = {name.digest for name in ours.values()}
    problems += [
        Problem(kind="missing", what=digest, because=f"{path.removeprefix(ROOT)} rests on it")
        for digest, path in named.items()
        if digest not in there and digest not in pruned
    ]
    listed = "".join(f"{path}\n" for path in sorted(ours))
    return Checked(
        records=len(ours),
        keys=len({name.key for name in ours.values()}),
        last=len(there - named.keys()),
        pruned=len(named.keys() & pruned - there),
        prunings=dict(sorted(prunings.items())),
        state=f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}",
        problems=tuple(sorted(problems, key=lambda one: (one.kind, one.what))),
    )
