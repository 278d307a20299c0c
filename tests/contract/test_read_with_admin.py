"""The workloads of a cluster without Entra ID, read with the admin credential that Azure hands out for it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from ruamel.yaml import YAML

from aks_entra.core.planning.fleet import Fleet, ReadAs, Selector, WantedGroup, WantedTarget
from aks_entra.documents import dump_plan
from aks_entra.errors import Refused, TryLater
from aks_entra.planning.planner import plan_fleet
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, SUBSCRIPTION, UNLOCKED, Opener, cluster

LISTS = 12
"""Requests of a look inside a cluster: one for each kind of object that it lists."""


class Kubeconfig:
    """The place that gets an admin kubeconfig."""

    document: Any = None

    def put(self, content: bytes) -> None:
        self.document = YAML(typ="safe").load(content)

    def text(self, without: str) -> str:
        """Return it as YAML, without one field of its user."""
        self.document["users"][0]["user"].pop(without)
        stream = io.StringIO()
        YAML(typ="safe").dump(self.document, stream)
        return stream.getvalue()


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True)
async def test_a_plan_reads_the_workloads_and_holds_nothing_afterwards(opened: Opener) -> None:
    fleet = Fleet(
        name="prod",
        selectors=(Selector(subscription=SUBSCRIPTION, resource_group="shop-weu", name="plain"),),
        target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
        read=ReadAs.ADMIN_CREDENTIAL,
    )
    async with opened() as session:
        plan = await plan_fleet(session.ports, fleet, ())
        rules = {finding.rule: finding.message for finding in plan.clusters[0].findings}
        assert "W140" in rules
        assert "U140" not in rules, rules
        assert not session.ports.vault.holds(cluster("plain"))
        read = plan.clusters[0].admin_read
        assert read is not None
        assert read.requests == LISTS
        assert f"{LISTS} lists until" in next(one.evidence for one in plan.clusters[0].findings if one.rule == "W140")
        (told,) = (await session.ports.arm.handed_out(cluster("plain"))).handed_out
        assert told.ended, "Azure's activity log counts it among the credentials that were handed out"
        kubeconfig = Kubeconfig()
        await session.ports.arm.hand_out_admin_kubeconfig(cluster("plain"), kubeconfig)
        user = kubeconfig.document["users"][0]["user"]
        assert user["token"] not in dump_plan(plan)
        assert user["client-key-data"] not in dump_plan(plan)


@pytest.mark.parametrize("box", [{"world": UNLOCKED}], indirect=True)
async def test_the_token_or_the_certificate_of_the_admin_is_enough(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        ports, plain = session.ports, cluster("plain")
        posture = await ports.arm.cluster(plain)
        with pytest.raises(Refused, match="no admin credential of shop-weu/plain is held"):
            await ports.kubernetes.inside(posture, as_admin=True)
        for without in ("token", "client-key-data"):
            kubeconfig = Kubeconfig()
            await ports.arm.hand_out_admin_kubeconfig(plain, kubeconfig)
            ports.vault.hand_in(plain, kubeconfig.text(without))
            seen = await ports.kubernetes.inside(posture, as_admin=True)
            assert [one.label for one in seen.controllers or ()] == ["Deployment default/web"], without
        box.arm.state.cluster(SUBSCRIPTION, "shop-weu", "plain").server.take_down(box.clock.now())
        with pytest.raises(TryLater):
            await ports.kubernetes.inside(posture, as_admin=True)
