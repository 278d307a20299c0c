"""The progress of a rollout as lines for a terminal and a log, as a page in Prefect, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from aks_entra.core.durations import moment, stamp
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.progress import SHOWN, SLOWEST, ClusterProgress, Overview, Running
from aks_entra.text.markdown import for_markdown, strong
from aks_entra.text.safe import visible

SHORT: Final = {
    "look": "look",
    "ensure admin group": "group",
    "enable Entra": "Entra on",
    "update Entra": "Entra changed",
    "prove sign-in": "sign-in",
    "record baseline": "baseline",
    "disable local accounts": "accounts off",
    "rotate certificates": "rotate",
    "verify nodes": "nodes",
    "prove old credentials dead": "old credentials dead",
}
"""Titles of steps where there is little room."""
LONGEST_REASON: Final = 160
"""Characters of the reason in a log and on a page."""
CHANGE: Final = ("cluster", "id", "step", "step_state", "verdict", "because")
"""The fields of a change. All are None if the state of the run changed."""
STAGES: Final = 3
"""Stages under way that are named."""


def short_title(title: str) -> str:
    """Return the title of a step for a narrow place."""
    return SHORT.get(title, title)


def duration(seconds: float) -> str:
    """Return a duration as people write it: `9s`, `1m52` or `1h05`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours}h{left:02}"
    return f"{minutes}m{rest:02}" if minutes else f"{rest}s"


def counted(counts: Sequence[tuple[str, int]]) -> str:
    """Return counts on one line: `failed 3 · verified 389`."""
    return " · ".join(f"{word} {number:,}" for word, number in counts)


def line_of_log(overview: Overview, *, left: str = "") -> str:
    """Return one line for a log: how many clusters have ended, the counts, the slowest, and the time left."""
    parts = [
        f"{overview.ended:,} of {overview.clusters:,} clusters ended ({overview.percent} %)",
        counted(overview.counts),
    ]
    parts += [f"slow: {_slow(one)}" for one in overview.running[:1] if one.slow]
    return " · ".join(part for part in (*parts, left) if part)


def attention(clusters: Sequence[ClusterProgress], *, named: int = SHOWN) -> Iterator[str]:
    """Yield a line for each cluster that somebody has to look at, and one that counts those that are not named."""
    for one in clusters[:named]:
        because = f": {visible(one.because, longest=LONGEST_REASON)}" if one.because else ""
        yield f"✗ {one.cluster}: {one.verdict}{because}"
    if len(clusters) > named:
        yield f"  and {len(clusters) - named:,} more"


def at_work(overview: Overview) -> str:
    """Return how many clusters are at each step: `at work: sign-in 4 · rotate 25`."""
    steps = [(short_title(title), number) for title, number in overview.steps]
    return f"at work: {counted(steps)}" if steps else ""


def stages(overview: Overview) -> str:
    """Return how many stages have ended, and how far those are that have begun."""
    ended = sum(one.ended == one.clusters for one in overview.stages)
    begun = [one for one in overview.stages if 0 < one.ended < one.clusters]
    named = [f"{one.name} {one.ended:,} of {one.clusters:,}" for one in begun[:STAGES]]
    return " · ".join((f"{ended} of {len(overview.stages)} stages ended", *named))


def slowest(overview: Overview) -> Iterator[str]:
    """Yield a line for each of the clusters that have been longest at their step."""
    for one in overview.running[:SLOWEST]:
        yield _slow(one)


def page(plan: FleetPlan, overview: Overview, now: datetime, *, left: str = "") -> str:
    """Render the progress as a page in Prefect (markdown). It has the same size for every fleet."""
    digits = plan.digest.removeprefix("sha256:")[:12]
    full = round(overview.percent / 5)
    lines = [
        f"# {for_markdown(plan.name)}: {overview.ended:,} of {overview.clusters:,} clusters ended",
        "",
        f"`{'█' * full}{'░' * (20 - full)}` {overview.percent} %{f' · {left}' if left else ''}",
        "",
        f"Plan `{digits}`, as of {stamp(now)}. {for_markdown(stages(overview))}.",
        "",
        *_table(("state", "clusters"), overview.counts),
    ]
    if overview.attention:
        lines += ["", "## Somebody has to look at these", ""]
        lines += [_item(one) for one in overview.attention[:SHOWN]]
        if len(overview.attention) > SHOWN:
            lines.append(f"* and {len(overview.attention) - SHOWN:,} more")
    if overview.steps:
        lines += ["", "## At work", "", *_table(("step", "clusters"), overview.steps)]
    if overview.running:
        lines += ["", "## Longest at their step", ""]
        lines += [f"* {for_markdown(one)}" for one in slowest(overview)]
    return "\n".join(lines)


def changes(
    before: Mapping[str, ClusterProgress], clusters: Sequence[ClusterProgress]
) -> Iterator[dict[str, str | None]]:
    """Yield what changed on each cluster: a step that began or ended, and a verdict.

    Each has the fields of `CHANGE`; those that say nothing are None.
    `before` is what was known, by the key of a cluster.
    """
    for one in clusters:
        known = before.get(one.key, ClusterProgress(cluster=one.cluster, key=one.key))
        here = {"cluster": one.cluster, "id": one.key}
        for place, step in enumerate(one.steps):
            if place >= len(known.steps) or known.steps[place] != step:
                yield {**here, "step": step.title, "step_state": str(step.state), "verdict": None, "because": None}
        if one.verdict != known.verdict:
            yield {**here, "step": None, "step_state": None, "verdict": one.verdict or None, "because": one.because}


def event(now: datetime, run: str, state: str, overview: Overview | None, change: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line of `migrate -o json`: the change, when it was seen, the run with its state, and the counts."""
    counts = {"clusters": overview.clusters, **dict(overview.counts)} if overview else {}
    return {"kind": "aks-entra/progress", "at": stamp(now), "run": run, "run_state": state, **change, "counts": counts}


def _slow(one: Running) -> str:
    usual = f", usually {duration(one.usual)}" if one.usual is not None else ""
    since = f" since {moment(one.since):%H:%M} UTC" if one.since else ""
    return f"{one.cluster}: {short_title(one.title)} for {duration(one.seconds)}{since}{usual}"


def _item(one: ClusterProgress) -> str:
    because = f": {for_markdown(one.because[:LONGEST_REASON], code=True)}" if one.because else ""
    return f"* {strong(one.cluster)} {one.verdict}{because}"


def _table(headings: tuple[str, str], rows: Sequence[tuple[str, int]]) -> list[str]:
    body = [f"| {for_markdown(word)} | {number:,} |" for word, number in rows]
    return [f"| {headings[0]} | {headings[1]} |", "|---|---:|", *body]
