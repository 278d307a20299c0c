"""A plan as Markdown: for a pull request, a ticket, a gate in Prefect's UI."""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.preflight import Finding
from aks_entra.report.plan_view import NOTHING_WRITTEN, SEVERITY_MARKS, ClusterView, PlanView, size


def render(view: PlanView) -> str:
    """The whole plan as one Markdown document that ends with a line break."""
    return "\n".join(_lines(view)) + "\n"


def changes(view: PlanView) -> str:
    """Which plan this one replaces or follows, and what had changed on which cluster; and what it leaves for later."""
    parts = ("\n".join(_changes(view)), *_parts(view))
    return "\n\n".join(part for part in parts if part)


def _parts(view: PlanView) -> Iterator[str]:
    if view.follows:
        yield f"**Second part of plan `{view.follows}`: the rotation that it left owed.**"
    if view.later:
        yield f"**Later:** {escaped(view.later)}"


def _changes(view: PlanView) -> Iterator[str]:
    if view.replaces:
        yield f"**In place of plan `{view.replaces}`: clusters are not as they were when that one was made.**"
        yield ""
        yield "| cluster | what changed |"
        yield "|---|---|"
        for cluster, differences in view.moved:
            yield f"| {escaped(cluster)} | {escaped('; '.join(differences))} |"


def _lines(view: PlanView) -> Iterator[str]:
    yield f"# Plan of {escaped(view.name)}"
    yield ""
    yield f"`{view.digest}` · {view.summary} · made {view.created_at} · {NOTHING_WRITTEN}"
    yield from ("", changes(view)) if changes(view) else ()
    for stage in view.stages:
        yield ""
        yield f"## Stage {escaped(stage.name)} ({stage.rules})"
        for cluster in stage.clusters:
            yield from _cluster(cluster)
    for title, held in (("Refused", view.refused), ("Skipped", view.skipped)):
        if held:
            yield ""
            yield f"## {title} ({len(held)})"
            for cluster in held:
                yield ""
                yield f"**{escaped(cluster.names[0])}**"
                yield ""
                yield from map(_finding, cluster.findings)
    if view.done:
        yield ""
        yield f"## As it should be ({len(view.done)})"
        yield ""
        for cluster in view.done:
            yield f"- **{escaped(cluster.names[0])}** {escaped(cluster.because)}".rstrip()
    if view.everywhere:
        yield ""
        yield "## On every cluster of these stages"
        yield ""
        yield from map(_finding, view.everywhere)
    if view.changes:
        yield ""
        yield f"**Who gains access:** {escaped('; '.join(view.gains)) or 'nobody new'}  "
        yield f"**Who loses access:** {escaped('; '.join(view.loses)) or 'nobody'}  "
        yield f"**Who proves sign-in:** `{view.prover}` (an automation, not a person)"


def _cluster(cluster: ClusterView) -> Iterator[str]:
    yield ""
    yield f"### {escaped(', '.join(cluster.names))} ({size(cluster)})"
    yield ""
    yield "| | step | what it means |"
    yield "|---|---|---|"
    for step in cluster.steps:
        notes = " · ".join("**ONE WAY**" if note == "ONE WAY" else escaped(note) for note in step.notes)
        yield f"| {step.mark} | {escaped(step.title)} | {notes} |"
    if cluster.findings:
        yield ""
        yield from map(_finding, cluster.findings)


def _finding(finding: Finding) -> str:
    remedy = f" → {escaped(finding.remedy)}" if finding.remedy else ""
    return f"- {SEVERITY_MARKS[finding.severity]} **{finding.rule}** {escaped(finding.message)}{remedy}"


def escaped(text: str) -> str:
    """Text without a meaning of its own in Markdown or in a table's cell; what stands in backticks stays code."""
    parts = text.replace("\n", " ").split("`")
    if len(parts) % 2 == 0:  # a lone backtick opens nothing
        return "\\`".join(_literal(part) for part in parts)
    return "`".join(part.replace("|", "\\|") if index % 2 else _literal(part) for index, part in enumerate(parts))


def _literal(text: str) -> str:
    for character in "\\*_|<>[]":
        text = text.replace(character, f"\\{character}")
    return text
