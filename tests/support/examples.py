"""How Hypothesis draws the examples of a property, by profile.

`make test` uses the profile `quick`: few examples, and the same ones in every run of the same code, so that a red run
is about the change that it tests, and is red again when it is repeated. `make test-long` explores: it uses
`pytest --hypothesis-profile thorough`, whose examples are new ones in every run. A property that needs more examples
than most has `@times(4)`: four times as many as the profile draws. No profile has a deadline.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.internal.constants_ast import Constants

QUICK: Final = "quick"
THOROUGH: Final = "thorough"
EXAMPLES = {QUICK: 25, THOROUGH: 100}
SAME: Final = "same-examples"


class SameExamples(HypothesisProvider):
    """Draws no constants out of the sources.

    Hypothesis does so from all modules that are imported so far, and the order of the tests decides which these are:
    without a random seed, a run would still draw other examples than the run before.
    """

    @cached_property
    def _local_constants(self) -> Constants:
        return Constants()


def register_profiles() -> None:
    """Register the profiles, and load `quick` until pytest's `--hypothesis-profile` names another."""
    AVAILABLE_PROVIDERS[SAME] = f"{__name__}.{SameExamples.__name__}"
    for name, examples in EXAMPLES.items():
        settings.register_profile(
            name,
            max_examples=examples,
            derandomize=name == QUICK,  # said for both: Hypothesis' own default is another one where CI is set
            backend=SAME if name == QUICK else "hypothesis",
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
    settings.load_profile(QUICK)


def times(factor: float) -> settings:
    """Return settings with a multiple of the profile's examples."""
    return settings(max_examples=max(1, round(factor * settings().max_examples)))
