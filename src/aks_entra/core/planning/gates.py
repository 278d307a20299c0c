"""Gates of a stage: what they wait for (an approval, a time, a window, quiet audit logs), and when they open.

Terms are AKS Fleet Manager's (approval, wait after a stage). Moments are aware datetimes from the caller. A gate has no
state.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from aks_entra.core.durations import in_words, moment, stamp
from aks_entra.core.maintenance_windows import MaintenanceWindow, opened
from aks_entra.core.planning.approvers import Approvers

Side: TypeAlias = Literal["before", "after"]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY: Final = 86_400
HORIZON: Final = timedelta(days=62)
"""How far ahead an opening is searched: two months, so that every monthly window occurs."""
_STEP: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A weekly window from `start` to `end` (`HH:MM`). It passes midnight if `end` is earlier than `start`."""

    start: str
    end: str
    days: tuple[str, ...] = ()  # mon … sun, on which it begins; empty: every day
    timezone: str = "UTC"  # IANA's name

    @property
    def words(self) -> str:
        """`sat, sun 02:00 to 06:00 Europe/Amsterdam`."""
        return f"{', '.join(self.days) or 'every day'} {self.start} to {self.end} {self.timezone}"

    def next_opening(self, now: datetime) -> datetime:
        """Return `now` while it is open, or else when it opens next, in UTC."""
        zone = ZoneInfo(self.timezone)
        begins, ends = time.fromisoformat(self.start), time.fromisoformat(self.end)
        local = now.astimezone(zone).date()
        occurrences = []
        for offset in range(-1, 8):
            day = local + timedelta(days=offset)
            if not self.days or DAYS[day.weekday()] in self.days:
                last = day if ends > begins else day + timedelta(days=1)
                start = datetime.combine(day, begins, zone).astimezone(UTC)
                end = datetime.combine(last, ends, zone).astimezone(UTC)
                if now < end:
                    occurrences.append(max(start, now.astimezone(UTC)))
        return min(occurrences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a stage waits for on one side. All conditions must hold. Spans are seconds."""

    approval: bool = True
    expires_after: int = DAY  # of an approval, until the stage begins
    wait: int = 0  # since the gate was reached
    not_before: str = ""  # ISO 8601 in UTC
    window: Hours | None = None
    maintenance_window: bool = False  # the windows of all clusters that have some must be open together
    approvers: Approvers | None = None  # who has to sign the approval; None: a typed name is enough
    quiet: int = 0  # how long the audit logs must show no caller with an old credential

    def bound(self) -> dict[str, Any]:
        """Return what a plan's digest covers. Unset, `approvers` and `quiet` are left out, as in older digests."""
        said = {name: value for name, value in asdict(self).items() if value or name not in {"approvers", "quiet"}}
        return said | ({"approvers": self.approvers.bound()} if self.approvers else {})

    @property
    def timed(self) -> bool:
        """Whether it waits for a time or a window."""
        return bool(self.wait or self.not_before or self.window or self.maintenance_window)

    def counts(self, decided_at: datetime, at: datetime) -> bool:
        """Whether an approval counts at a moment. The moment may be earlier, because clocks differ."""
        return at - decided_at < timedelta(seconds=self.expires_after)

    @property
    def _signed(self) -> str:
        return f": {self.approvers.words}" if self.approvers else ""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Each condition, in words."""
        return tuple(
            words
            for there, words in (
                (self.approval, f"approval (valid {in_words(self.expires_after)}){self._signed}"),
                (self.wait, f"wait {in_words(self.wait)}"),
                (self.not_before, f"not before {self.not_before}"),
                (self.window, f"window {self.window.words if self.window else ''}"),
                (self.maintenance_window, "the clusters' maintenance windows"),
                (self.quiet, f"quiet {in_words(self.quiet)}: no caller with an old credential in the audit logs"),
            )
            if there
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """When all conditions but the approval hold, and which ones do not hold yet."""

    at: datetime
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """All conditions hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask a person to decide now. `expired`: when the last approval expired, if there was one."""

    expired: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitUntil:
    """Wait until this moment."""

    at: datetime
    because: str


Move: TypeAlias = Go | Ask | WaitUntil


def opening(
    gate: Gate, *, reached: datetime, now: datetime, maintenance: tuple[tuple[MaintenanceWindow, ...], ...] = ()
) -> Opening | None:
    """Return when all conditions but the approval hold, at `now` or later. Returns None if never within `HORIZON`.

    `maintenance`: the windows of each cluster that has some. They count only if the gate names them.
    """
    at, because = now, []
    for bound, words in (
        (reached + timedelta(seconds=gate.wait), f"wait {in_words(gate.wait)}"),
        (moment(gate.not_before) if gate.not_before else now, f"not before {gate.not_before}"),
    ):
        if bound > now:
            because.append(words)
            at = max(at, bound)
    windows = set(maintenance) if gate.maintenance_window else set()
    if gate.window and gate.window.next_opening(at) > at:
        because.append(f"window {gate.window.words}")
    if not all(opened(one, at.isoformat()) for one in windows):
        because.append("the clusters' maintenance windows")
    last = at + HORIZON
    while at <= last:
        at = gate.window.next_opening(at) if gate.window else at
        if all(opened(one, at.isoformat()) for one in windows):
            return Opening(at=at, because=tuple(because))
        at = _quarter(at)
    return None


def next_move(gate: Gate, side: Side, *, now: datetime, opens: Opening, approved_at: datetime | None = None) -> Move:
    """Return what to do at a gate now. `approved_at`: when the plan in its present form was approved last.

    Before a stage, a person is asked only if the answer is still valid when the stage may begin. After a stage, a
    person is asked when the wait is over. An approval counts until the stage begins.
    """
    valid = timedelta(seconds=gate.expires_after)
    expired = approved_at is not None and side == "before" and not gate.counts(approved_at, now)
    if gate.approval and (approved_at is None or expired):
        ask_at = opens.at - valid if side == "before" else opens.at
        if ask_at > now:
            return WaitUntil(at=ask_at, because=f"{', '.join(opens.because)}; then an approval is asked for")
        return Ask(expired=stamp(approved_at + valid) if approved_at is not None else "")
    if opens.at > now:
        return WaitUntil(at=opens.at, because=", ".join(opens.because))
    return Go()


def still_open(gate: Gate, *, now: datetime, maintenance: tuple[MaintenanceWindow, ...] | None = ()) -> bool:
    """Whether a cluster may begin now, by the windows of gate and cluster. Unreadable ones (None) count as closed."""
    if gate.window and gate.window.next_opening(now) > now:
        return False
    if not gate.maintenance_window or maintenance == ():
        return True
    return maintenance is not None and opened(maintenance, now.isoformat()) is True


def _quarter(at: datetime) -> datetime:
    """Return the next quarter of an hour: openings are searched in such steps."""
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0) + _STEP
