"""A plan as Markdown, for a pull request, a ticket, or a gate in Prefect's UI."""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.preflight import Finding
from aks_entra.report.expected_time import TITLE, TimeView
from aks_entra.report.plan_view import NOTHING_WRITTEN, ONE_WAY, SEVERITY_MARKS, ClusterView, PlanView, size
from aks_entra.text.markdown import code, for_markdown, for_markdown_table_cell, strong


def render(view: PlanView) -> str:
    """Return the plan as a Markdown document that ends with a line break."""
    return "\n".join(_lines(view)) + "\n"


def changes(view: PlanView) -> str:
    """Return which plan this plan replaces or follows, what changed since, what it leaves for later, and its hooks."""
    parts = ("\n".join(_changes(view)), *_parts(view))
    return "\n\n".join(part for part in parts if part)


def _parts(view: PlanView) -> Iterator[str]:
    if view.follows:
        yield f"**Second part of plan {code(view.follows)}: the rotation that it left for later.**"
    if view.later:
        yield f"**Later:** {for_markdown(view.later, code=True)}"
    yield from (f"**{for_markdown(when)}:** {for_markdown(hook, code=True)}" for when, hook in view.after)


def _changes(view: PlanView) -> Iterator[str]:
    if view.replaces:
        yield f"**This replaces plan {code(view.replaces)}, because clusters changed since it was made.**"
        yield ""
        yield "| cluster | what changed |"
        yield "|---|---|"
        for cluster, differences in view.moved:
            changed = "; ".join(for_markdown_table_cell(one, code=True) for one in differences)
            yield f"| {for_markdown_table_cell(cluster)} | {changed} |"


def _lines(view: PlanView) -> Iterator[str]:
    yield f"# Plan of {for_markdown(view.name)}"
    yield ""
    yield f"{code(view.digest)} · {view.summary} · made {for_markdown(view.created_at)} · {NOTHING_WRITTEN}"
    yield from ("", changes(view)) if changes(view) else ()
    for stage in view.stages:
        yield ""
        yield f"## Stage {for_markdown(stage.name)} ({for_markdown(stage.rules)})"
        for cluster in stage.clusters:
            yield from _cluster(cluster)
    for title, held in (("Refused", view.refused), ("Skipped", view.skipped)):
        if held:
            yield ""
            yield f"## {title} ({len(held)})"
            for cluster in held:
                yield ""
                yield strong(cluster.names[0])
                yield ""
                yield from map(_finding, cluster.findings)
    if view.done:
        yield ""
        yield f"## Nothing to do ({len(view.done)})"
        yield ""
        for cluster in view.done:
            yield f"- {strong(cluster.names[0])} {for_markdown(cluster.because, code=True)}".rstrip()
    if view.everywhere:
        yield ""
        yield "## On every cluster of these stages"
        yield ""
        yield from map(_finding, view.everywhere)
    yield from _time(view.time) if view.time else ()
    if view.changes:
        yield ""
        yield f"**Who gains access:** {'; '.join(map(for_markdown, view.gains)) or 'nobody new'}  "
        yield f"**Who loses access:** {'; '.join(map(for_markdown, view.loses)) or 'nobody'}  "
        yield f"**Who proves sign-in:** {code(view.prover)} (a service principal, not a person)"


def _time(view: TimeView) -> Iterator[str]:
    yield ""
    yield f"## {TITLE}"
    yield ""
    yield "| stage | clusters | time | what binds |"
    yield "|---|---|---|---|"
    for row in view.rows:
        yield f"| {' | '.join(map(for_markdown_table_cell, row))} |"
    yield ""
    yield from (f"- {for_markdown(note)}" for note in view.notes)


def _cluster(cluster: ClusterView) -> Iterator[str]:
    yield ""
    yield f"### {', '.join(map(for_markdown, cluster.names))} ({size(cluster)})"
    yield ""
    yield "| | step | what it means |"
    yield "|---|---|---|"
    for step in cluster.steps:
        notes = " · ".join(
            strong(note) if note == ONE_WAY else for_markdown_table_cell(note, code=True) for note in step.notes
        )
        yield f"| {step.mark} | {for_markdown_table_cell(step.title)} | {notes} |"
    if cluster.findings:
        yield ""
        yield from map(_finding, cluster.findings)


def _finding(finding: Finding) -> str:
    remedy = f" → {for_markdown(finding.remedy, code=True)}" if finding.remedy else ""
    message = for_markdown(finding.message, code=True)
    return f"- {SEVERITY_MARKS[finding.severity]} {strong(finding.rule)} {message}{remedy}"
