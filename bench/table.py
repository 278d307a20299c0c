"""The table of figures and goals. Counts and ratios come first, because they do not depend on the machine's load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.figures import ByHand, Fleet, gain
from bench.traffic import API_SERVERS, ARM, GRAPH, TOKENS, Traffic

NAME, NUMBER = 62, 11  # widths of the table's columns
SIZES = (200, 1000)  # clusters of a subscription
SELDOM = 0.095  # requests of a kind per cluster: fewer are shown as a sum
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The most that a figure may be, or the least."""

    limit: float
    least: bool = False

    def met(self, value: float | None) -> bool:
        """Return whether a figure meets the goal. A figure that was not measured does not."""
        return value is not None and (value >= self.limit if self.least else value <= self.limit)

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:g}"


def at_most(limit: float) -> Goal:
    """Return the goal that a figure is not larger."""
    return Goal(limit=limit)


def at_least(limit: float) -> Goal:
    """Return the goal that a figure is not smaller."""
    return Goal(limit=limit, least=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure of ours, the same by hand (None: there is none), and the goal of ours."""

    name: str
    value: float | None
    by_hand: tuple[float | None, ...] = ()
    digits: int = 2
    goal: Goal | None = None
    note: str = ""


def rows(fleet: Fleet, hands: Sequence[ByHand]) -> Iterator[Row]:
    """Yield the figures of a migration."""
    whole = at_least(fleet.clusters)
    yield Row(name="clusters migrated and verified", value=fleet.verified, digits=0, goal=whole)
    yield from requests("the plan", fleet.plan, (), total=at_most(2.5), aks=at_most(1))
    for size, most in zip(SIZES, (190.0, 1200.0), strict=True):
        yield _calculated("planning", fleet.plan, size, at_most(most))
    yield from requests("the migration", fleet.migration, hands, total=at_most(36), aks=at_most(6))
    for size in SIZES:
        yield _calculated("migrating", fleet.migration, size, None)
    refused = fleet.plan.throttled + fleet.migration.throttled
    theirs = tuple(float(hand.requests.throttled) for hand in hands)
    yield Row(name="answers 429, in total", value=refused, by_hand=theirs, digits=0, goal=at_most(0))
    path = f"{fleet.batch:.1f} s / ({fleet.waves} x {fleet.operations} operations of {fleet.operation:g} s)"
    yield Row(name="batch / critical path", value=fleet.ratio, goal=at_most(1.10), note=path)
    for place, hand in enumerate(hands):
        shown = tuple(gain(fleet, hand) if other == place else None for other in range(len(hands)))
        name = f"times less client CPU than {hand.name} ({hand.proves})"
        yield Row(name=name, value=gain(fleet, hand), by_hand=shown, digits=1, goal=at_least(hand.gain))
    yield from _process(fleet)
    yield from _cpu(fleet, hands)


def requests(of: str, ours: Traffic, hands: Sequence[ByHand], *, total: Goal, aks: Goal) -> Iterator[Row]:
    """Yield the requests per cluster: all, those against AKS's limit, and those of each service."""
    theirs = tuple(hand.requests for hand in hands)

    def row(name: str, number: int, by_hand: tuple[int, ...], goal: Goal | None) -> Row:
        each = tuple(one / hand.clusters for one, hand in zip(by_hand, theirs, strict=True))
        return Row(name=name, value=number / ours.clusters, by_hand=each, goal=goal)

    yield row(f"requests of {of}, per cluster", ours.total, tuple(one.total for one in theirs), total)
    yield row("  against AKS's limit of 60 @ 1/s", ours.aks, tuple(one.aks for one in theirs), aks)
    names = dict.fromkeys((ARM, API_SERVERS, TOKENS, GRAPH, *ours.kinds, *(it for one in theirs for it in one.kinds)))
    for name in names:
        yield row(f"  {name}", ours.of(name), tuple(one.of(name) for one in theirs), None)


def _calculated(doing: str, ours: Traffic, size: int, goal: Goal | None) -> Row:
    seconds, limit = ours.seconds(size)
    name = f"{doing} {size} clusters of a subscription, at Azure's rates (s)"
    return Row(name=name, value=seconds, digits=0, goal=goal, note=limit)


def _process(fleet: Fleet) -> Iterator[Row]:
    yield Row(name="peak memory of the batch's process (MiB)", value=fleet.memory / MIB, digits=0, goal=at_most(600))
    yield Row(name="most files that it had open", value=fleet.files, digits=0)
    name, goal = "longest pause of its event loop (ms)", at_most(250)
    if not fleet.pauses:
        yield Row(name=name, value=None, goal=goal, note="not measured")
        return
    longest = fleet.pauses[0]
    note = f"without {longest.waited * 1000:.0f} ms in which others had the processor"
    yield Row(name=name, value=longest.own * 1000, digits=0, goal=goal, note=note)
    number = sum(not goal.met(one.own * 1000) for one in fleet.pauses)
    yield Row(name="  number of pauses that are longer than that goal", value=number, digits=0)


def _cpu(fleet: Fleet, hands: Sequence[ByHand]) -> Iterator[Row]:
    theirs = tuple(hand.cpu / hand.clusters for hand in hands)
    yield Row(name="client CPU per cluster (s)", value=fleet.cpu, by_hand=theirs, goal=at_most(0.30))
    for name, seconds in fleet.client.items():
        yield Row(name=f"  {name}", value=seconds / fleet.clusters)
    server = fleet.server / fleet.clusters
    yield Row(name="CPU of Prefect's server per cluster (s)", value=server, goal=at_most(0.15))
    yield Row(name="CPU of the sandbox per cluster (s)", value=fleet.sandbox / fleet.clusters, note="part of neither")
    yield Row(name="`aks-entra migrate`, from start to end (s)", value=fleet.wall, digits=0)
    used = ", ".join(f"{name} {cores:.1f}" for name, cores in fleet.others.commands.items())
    name = f"of {fleet.others.of} cores, busy with something else"
    yield Row(name=name, value=fleet.others.cores, digits=1, note=used)


def kinds(fleet: Fleet, hands: Sequence[ByHand]) -> Iterator[Row]:
    """Yield the requests per cluster of each kind: of the migration, of the plan, and by hand."""
    counted = [fleet.migration, fleet.plan, *(hand.requests for hand in hands)]
    for name in dict.fromkeys((ARM, API_SERVERS, TOKENS, GRAPH, *(it for one in counted for it in one.kinds))):
        each = [{kind: n / one.clusters for kind, n in one.kinds.get(name, {}).items()} for one in counted]
        seldom = [0.0] * len(each)
        for kind in sorted(
            {kind for one in each for kind in one}, key=lambda kind: [-one.get(kind, 0) for one in each]
        ):
            numbers = [one.get(kind, 0.0) for one in each]
            if max(numbers) >= SELDOM:
                yield Row(name=f"{name}: {kind}", value=numbers[0], by_hand=tuple(numbers[1:]))
            else:
                seldom = [before + number for before, number in zip(seldom, numbers, strict=True)]
        if any(seldom):
            yield Row(name=f"{name}: all others", value=seldom[0], by_hand=tuple(seldom[1:]))


def table(found: Sequence[Row], *heads: str) -> Iterator[str]:
    """Yield the lines of a table. `heads`: over our column, and over those by hand."""
    head = f"{'':<{NAME}}{''.join(f'{one:>{NUMBER}}' for one in heads)}"
    yield f"{head}  goal".rstrip() if any(row.goal for row in found) else head
    yield "-" * (NAME + NUMBER * len(heads))
    for row in found:
        numbers = [row.value, *row.by_hand]
        numbers += [None] * (len(heads) - len(numbers))
        cells = "".join(f"{'-' if one is None else f'{one:.{row.digits}f}':>{NUMBER}}" for one in numbers[:1])
        cells += "".join(f"{'' if one is None else f'{one:.{row.digits}f}':>{NUMBER}}" for one in numbers[1:])
        goal = f"{row.goal}: {'met' if row.goal.met(row.value) else 'MISSED'}" if row.goal else ""
        yield f"{row.name:<{NAME}}{cells}  {goal}{f'  ({row.note})' if row.note else ''}".rstrip()


def document(fleet: Fleet, hands: Sequence[ByHand]) -> dict[str, Any]:
    """Return all figures as JSON."""
    return {
        "kind": "aks-entra/bench",
        "rows": [_row(row, hands) for row in rows(fleet, hands)],
        "steps": fleet.steps,
        "fleet": asdict(fleet),
        "by_hand": [asdict(hand) for hand in hands],
    }


def _row(row: Row, hands: Sequence[ByHand]) -> dict[str, Any]:
    """Return a row as JSON. `met` is None without a goal."""
    by_hand = {hand.name: one for hand, one in zip(hands, row.by_hand, strict=False) if one is not None}
    met = None if row.goal is None else row.goal.met(row.value)
    goal = None if row.goal is None else str(row.goal)
    return {
        "name": row.name.strip(),
        "value": row.value,
        "by_hand": by_hand,
        "goal": goal,
        "met": met,
        "note": row.note,
    }
