"""The proof of sign-in, which comes before anything is closed, and how long it waits for tokens to follow."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final, NoReturn

from aks_entra.core.cluster import Posture
from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import Evidence, Moment, SignInProven
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import ProveSignIn
from aks_entra.errors import AksEntraError, Diverged, Refused, Rejected, TryLater
from aks_entra.execution import write_guards
from aks_entra.execution.engine import Engine
from aks_entra.probes import checks, sign_in

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_MINUTE: Final = timedelta(minutes=1)
"""An old credential is proven dead by a refusal, and by a member's sign-in of the same minute."""


async def prove_sign_in(engine: Engine, job: Job, _: ProveSignIn) -> tuple[Evidence, ...]:
    """Sign in at this API server with a fresh token, before anything is closed."""
    return (await prove(engine, job, await engine.read_lately(job.plan.cluster), Moment.BEFORE),)


async def prove_lately(engine: Engine, job: Job, posture: Posture, moment: Moment) -> SignInProven:
    """Return this run's last proof if it is of the same minute and under the CA that serves now, or prove again."""
    last, now = engine.of(job.plan.cluster).proven, engine.ports.clock.now()
    at = when(last.at) if last else None
    same = last is not None and last.moment is moment and last.ca == checks.authority(posture).fingerprint
    if last and at and same and now - at < _MINUTE:
        return last
    return await prove(engine, job, posture, moment)


async def prove(engine: Engine, job: Job, posture: Posture, moment: Moment) -> SignInProven:
    """Sign in by an admin group or by role, and check that the prover may do everything."""
    wait = partial(_no_sign_in, engine, job, posture, moment)
    try:
        cluster = job.plan.cluster
        proven = await sign_in.sign_in(
            engine.ports, job, posture, moment, engine.of(cluster).groups_at, engine.is_member
        )
    except TryLater as error:
        wait(error.message, error)
    except (Rejected, Refused) as error:
        if error.status not in {_UNAUTHORIZED, _FORBIDDEN} or error.code.startswith("AADSTS"):
            raise  # this is no answer of the API server to a token: for example, there was no token
        wait(error.message, error)
    if not proven.by:
        wait(f"{proven.username} signed in, but not as a member of an admin group: another binding let it in")
    if not proven.everything:
        wait(f"{proven.username} signed in by {proven.by}, but is not allowed everything")
    engine.deadlines.arrived(job.plan.cluster, "sign-in")
    engine.of(job.plan.cluster).proven = proven
    return proven


def _no_sign_in(
    engine: Engine, job: Job, posture: Posture, moment: Moment, message: str, cause: AksEntraError | None = None
) -> NoReturn:
    """Raise TryLater, because group changes need time to reach tokens and webhooks.

    After the limit, raise Refused if nothing was written yet, or else Diverged.
    """
    remedy = (
        "make the prover a member of an admin group, or name another one under `prover`; "
        "`az aks update --aad-admin-group-object-ids` corrects the groups"
    )
    if moment is Moment.AFTER:
        remedy += ", `az aks update --enable-local-accounts` reopens a way in"
    if cause is not None and cause.code == sign_in.NO_FRESH_TOKEN:
        remedy = cause.remedy
    untouched = not write_guards.differences(job.plan.before, posture)
    limit = engine.timeouts.sign_in
    engine.deadlines.later(
        job.plan.cluster,
        "sign-in",
        limit,
        message,
        remedy=remedy,
        cause=cause,
        last=Refused if untouched else Diverged,
    )
