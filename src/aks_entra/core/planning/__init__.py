"""A fleet and its plan: steps, stages, gates, rollbacks. This package must not know verdicts."""
