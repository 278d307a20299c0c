"""How many examples Hypothesis draws for a property, by profile.

`make test` uses the profile `quick`; `make test-long` uses `pytest --hypothesis-profile thorough`. A property that
needs more examples than most has `@times(4)`: four times as many as the profile draws. No profile has a deadline.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

QUICK = "quick"
EXAMPLES = {QUICK: 25, "thorough": 100}


def register_profiles() -> None:
    """Register the profiles, and load `quick` until pytest's `--hypothesis-profile` names another."""
    for name, examples in EXAMPLES.items():
        settings.register_profile(
            name,
            max_examples=examples,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
    settings.load_profile(QUICK)


def times(factor: float) -> settings:
    """Return settings with a multiple of the profile's examples."""
    return settings(max_examples=max(1, round(factor * settings().max_examples)))
