"""The progress of a batch as a small text: it is written every few seconds, and nothing is decided by it.

It is `{"kind": "aks-entra/progress", "version": 1, "plan": "sha256:…", "clusters": [[…], …]}`. Each cluster and each
step is a list instead of an object, because a batch may have a thousand clusters with ten steps each.
"""

from __future__ import annotations

import json

from aks_entra.core.rollout.progress import BatchProgress, ClusterProgress, StepProgress, StepState
from aks_entra.core.storable import storable
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents.json_text import require_version
from aks_entra.errors import Refused

KIND = "aks-entra/progress"


def dump_progress(progress: BatchProgress) -> str:
    """Return the progress as JSON on one line."""
    clusters = [
        [
            one.cluster,
            one.key,
            one.outcome,
            one.because,
            one.counts_against,
            [[step.title, step.began, step.state, round(step.seconds, 1)] for step in one.steps],
        ]
        for one in progress.clusters
    ]
    document = {"kind": KIND, "version": 1, "plan": progress.plan, "clusters": storable(clusters)}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def load_progress(text: str) -> BatchProgress:
    """Read the progress of a batch. Refused when malformed, or written by a newer version."""
    malformed = Refused("this progress of a batch is malformed", remedy="wait: its batch writes it again")
    try:
        document = json.loads(text)
        require_version("progress", document["version"])
        clusters = tuple(
            ClusterProgress(
                cluster=cluster,
                key=key,
                outcome=Outcome(outcome) if outcome is not None else None,
                because=because,
                counts_against=counts_against,
                steps=tuple(
                    StepProgress(title=title, began=began, state=StepState(state), seconds=seconds)
                    for title, began, state, seconds in steps
                ),
            )
            for cluster, key, outcome, because, counts_against, steps in document["clusters"]
        )
        plan, kind = document["plan"], document["kind"]
    except (KeyError, TypeError, ValueError) as error:
        raise malformed from error
    if kind != KIND:
        raise malformed
    return BatchProgress(plan=plan, clusters=clusters)
