"""Effects of Azure's operations on an API server, at points from 0 to 1 of the operation's length.

In a rotation the server goes down, comes back with new keys and without nodes, and the nodes return one by one. The
outcome and the downtime are recorded from Azure; the points in between are not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from azure_sandbox.cluster.machines import Pool
from azure_sandbox.cluster.regime import Regime
from azure_sandbox.cluster.service import ApiServer

Moment = Callable[[float], dt.datetime]
BACK = 0.4  # the API server answers again, with new keys
NODES_FROM, NODES_UNTIL = 0.45, 0.9
DOWN = 0.3  # an interrupting update takes the API server down
EFFECT = 0.6  # an update reaches the API server
ANSWERS, INHABITED = 0.7, 0.9  # API server and nodes of a cluster that is created or started


def rotate(server: ApiServer, cause: str, moment: Moment) -> None:
    """Plan a rotation that succeeds. `moment(share)` is the time of a point of the operation, from 0 to 1."""
    server.timeline.plan(moment(0), cause, server.take_down)

    def renewed(when: dt.datetime) -> None:
        server.renew(when)
        server.machines.vanish(when)
        server.bring_up(when)

    server.timeline.plan(moment(BACK), cause, renewed)
    nodes = server.machines.wanted()
    step = (NODES_UNTIL - NODES_FROM) / max(1, len(nodes))
    for number, (pool, name) in enumerate(nodes):
        start = NODES_FROM + number * step
        server.timeline.plan(moment(start), cause, _arrival(server, pool, name, ready=False))
        server.timeline.plan(moment(start + 0.9 * step), cause, _arrival(server, pool, name, ready=True))


def fail_to_rotate(server: ApiServer, cause: str, moment: Moment) -> None:
    """Plan a rotation that fails before a key is replaced: the server goes down and comes back unchanged."""
    server.timeline.plan(moment(0), cause, server.take_down)
    server.timeline.plan(moment(BACK), cause, server.bring_up)


def hold_up(server: ApiServer, cause: str, moment: Moment) -> None:
    """Plan a rotation that cannot drain a node: the keys are new, but the nodes know only the old ones."""
    server.timeline.plan(moment(0), cause, server.take_down)

    def renewed(when: dt.datetime) -> None:
        server.renew(when)
        server.bring_up(when)
        for pool, name in server.machines.wanted():
            server.machines.join(pool, name, when, ready=False)
        server.machines.schedule(when)

    server.timeline.plan(moment(BACK), cause, renewed)


def _arrival(server: ApiServer, pool: Pool, name: str, *, ready: bool) -> Callable[[dt.datetime], None]:
    def happen(when: dt.datetime) -> None:
        server.machines.join(pool, name, when, ready=ready)
        server.machines.schedule(when)

    return happen


def appear(server: ApiServer, cause: str, moment: Moment) -> None:
    """Plan the start of a cluster that is created or started."""
    server.timeline.plan(moment(ANSWERS), cause, server.bring_up)
    server.timeline.plan(moment(INHABITED), cause, _all_appear(server))


def _all_appear(server: ApiServer) -> Callable[[dt.datetime], None]:
    def happen(when: dt.datetime) -> None:
        server.machines.appear(when)

    return happen


def stop(server: ApiServer, cause: str, moment: Moment) -> None:
    """Plan the end of a cluster's API server and nodes."""

    def gone(when: dt.datetime) -> None:
        server.take_down(when)
        server.machines.vanish(when)

    server.timeline.plan(moment(EFFECT), cause, gone)


def update(server: ApiServer, cause: str, moment: Moment, regime: Regime, pools: tuple[Pool, ...]) -> None:
    """Plan a change of sign-in settings and pools."""

    def reached(when: dt.datetime) -> None:
        server.govern(regime, when)
        if pools != server.machines.pools:
            server.machines.scale(pools)
            if server.up:
                server.machines.appear(when)

    server.timeline.plan(moment(EFFECT), cause, reached)


def interrupted_update(server: ApiServer, cause: str, moment: Moment, regime: Regime, pools: tuple[Pool, ...]) -> None:
    """Plan an update during which the API server does not answer for a while."""
    server.timeline.plan(moment(DOWN), cause, server.take_down)
    update(server, cause, moment, regime, pools)
    server.timeline.plan(moment(EFFECT), cause, server.bring_up)
