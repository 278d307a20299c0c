"""The API server of one cluster. It knows no sockets: the front opens, reads and aborts them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from ssl import SSLContext
from typing import Any
from weakref import WeakSet

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509 import Certificate

from azure_sandbox.clock import Clock
from azure_sandbox.cluster import admission
from azure_sandbox.cluster.api import JSON, Api
from azure_sandbox.cluster.certificates import KeyPair, server_context
from azure_sandbox.cluster.credentials import Generation, new_generation
from azure_sandbox.cluster.declared import Declared
from azure_sandbox.cluster.default_roles import (
    ADMIN_BINDING,
    DEFAULTS,
    ENTRA_ADMIN_BINDING,
    RECONCILED,
    group_subject,
    role_reference,
)
from azure_sandbox.cluster.front import Front
from azure_sandbox.cluster.guard import AzureAccess, Guard
from azure_sandbox.cluster.machines import Machines, Pool, Workload, namespace, namespaces
from azure_sandbox.cluster.regime import Regime
from azure_sandbox.cluster.resources import RBAC_GROUP
from azure_sandbox.cluster.store import Store
from azure_sandbox.cluster.timeline import Timeline
from azure_sandbox.cluster.writes import Writes
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.http import Reply, Request

BINDINGS = (RBAC_GROUP, "clusterrolebindings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What an API server is built from; it is built when somebody first asks for it."""

    resource_id: str
    fqdn: str
    version: str
    node_group: str
    created: dt.datetime
    ca_created: dt.datetime
    pools: tuple[Pool, ...] = ()
    workloads: tuple[Workload, ...] = ()
    private: bool = False
    declared: Declared = field(default_factory=Declared)
    real: bool = False


class ApiServer:
    """One cluster's API server as it stands at this moment."""

    def __init__(
        self,
        blueprint: Blueprint,
        regime: Regime,
        *,
        clock: Clock,
        directory: Directory,
        tokens: Tokens,
        azure: AzureAccess,
    ) -> None:
        self.blueprint = blueprint
        self.timeline = Timeline()
        self.connections: WeakSet[asyncio.Transport] = WeakSet()
        self.regime = regime
        self.front: Front | None = None
        self._clock = clock
        self._up = True
        self._inhabited = True
        self._retired: list[KeyPair] = []
        self._context: SSLContext | None = None
        self._renewed: Generation | None = None
        self._token_survives = False
        self._webhook_breaks = False
        self._directory = directory
        self._tokens = tokens
        self._azure = azure

    @property
    def fqdn(self) -> str:
        """The name under which it is reached."""
        return self.blueprint.fqdn

    @cached_property
    def _first(self) -> Generation:
        return new_generation(self.fqdn, self.blueprint.ca_created)

    @property
    def generation(self) -> Generation:
        """The keys in force."""
        self.settle()
        return self._generation()

    @property
    def keys(self) -> Generation:
        """The keys in force, as of what was settled last."""
        return self._generation()

    def _generation(self) -> Generation:
        return self._renewed or self._first

    @cached_property
    def store(self) -> Store:
        """Its objects."""
        store = Store(DEFAULTS)
        born = self.blueprint.created
        declared = self.blueprint.declared
        for name in namespaces(self.blueprint.workloads, declared.namespaces()):
            store.put(("", "namespaces"), namespace(name), born)
            store.put(("", "serviceaccounts"), {"metadata": {"name": "default", "namespace": name}}, born)
        subjects = [{"kind": "User", "apiGroup": RBAC_GROUP, "name": it} for it in ("clusterAdmin", "clusterUser")]
        self._bind(store, ADMIN_BINDING, subjects, born)
        self._bind_admins(store, born)
        declared.put(store, self._first.authority.certificate_pem if declared.webhooks else b"", born)
        return store

    @cached_property
    def machines(self) -> Machines:
        """Its nodes and what runs on them."""
        machines = Machines(store=self.store, node_group=self.blueprint.node_group, pools=self.blueprint.pools)
        machines.add(self.blueprint.workloads)
        if self._inhabited:
            machines.appear(self.blueprint.created)
        return machines

    @cached_property
    def guard(self) -> Guard:
        """Who is who, and who may what."""
        return Guard(
            resource_id=self.blueprint.resource_id,
            store=self.store,
            directory=self._directory,
            tokens=self._tokens,
            azure=self._azure,
            regime=lambda: self.regime,
            generation=self._generation,
        )

    @cached_property
    def _api(self) -> Api:
        writes = Writes(self.store, self.guard, self._generation, self._retired_pems)
        return Api(
            version=self.blueprint.version,
            host=self.fqdn,
            store=self.store,
            guard=self.guard,
            writes=writes,
            settle=self.settle,
        )

    def _retired_pems(self) -> list[bytes]:
        return [it.certificate_pem for it in self._retired]

    @property
    def touched(self) -> bool:
        """Whether anybody has used its keys; before that they need not be kept."""
        return self._renewed is not None or "_first" in self.__dict__

    @property
    def retired(self) -> tuple[KeyPair, ...]:
        """The authorities before the present one."""
        return tuple(self._retired)

    def restore(self, generation: Generation, retired: Iterable[tuple[Certificate, EllipticCurvePrivateKey]]) -> None:
        """Put back the keys of an earlier life."""
        self._renewed = generation
        self._retired = [KeyPair(certificate=certificate, key=key) for certificate, key in retired]
        self._context = None

    def life(self) -> dict[str, Any]:
        """How it stands, keys aside, as plain data."""
        life: dict[str, Any] = {
            "up": self._up,
            "inhabited": self._inhabited,
            "tokenSurvives": self._token_survives,
            "webhookBreaks": self._webhook_breaks,
            "regime": self.regime,
        }
        if "store" in self.__dict__ and not self.blueprint.real:  # the objects of a real one are in its etcd
            life["store"] = self.store.kept()
        if "machines" in self.__dict__:
            its = self.machines
            life["machines"] = {"pools": its.pools, "blocked": its.blocked, "lost": its.lost}
        return life

    def live_on(self, life: dict[str, Any]) -> None:
        """Go on as an earlier one stood."""
        self._up, self._inhabited, self.regime = life["up"], life["inhabited"], life["regime"]
        self._token_survives, self._webhook_breaks = life["tokenSurvives"], life["webhookBreaks"]
        if kept := life.get("store"):
            store = Store(DEFAULTS)
            store.restore(kept)
            self.__dict__["store"] = store
        if its := life.get("machines"):
            machines = Machines(store=self.store, node_group=self.blueprint.node_group, pools=its["pools"])
            machines.add(self.blueprint.workloads)
            machines.blocked, machines.lost = its["blocked"], its["lost"]
            self.__dict__["machines"] = machines

    def settle(self) -> None:
        """Let everything happen that is due by now; a real control plane must have caught up with each thing."""
        clock, front = self._clock, self.front
        told = clock.now() if clock.by_hand else None
        if front is None:
            self.timeline.settle(clock.progress(), told)
        else:
            self.timeline.settle(clock.progress(), told, front.behind)
            front.wake()

    @property
    def up(self) -> bool:
        """Whether it runs, as of what was settled last."""
        return self._up

    @property
    def reachable(self) -> bool:
        """False while it is stopped, being rotated, or private: the front then refuses the CONNECT."""
        self.settle()
        return self._up and not self.blueprint.private

    def ssl_context(self) -> SSLContext:
        """The context for one new connection: ask for it before the connection joins `connections`."""
        self.settle()
        if self._context is None:
            generation = self._generation()
            self._context = server_context(generation.server, (generation.authority, *self._retired))
        return self._context

    async def handle(self, request: Request) -> Reply:
        """Answer one request; a request that reaches a server which is down finds its connection aborted."""
        self.settle()
        if not self._up:
            return Reply(503, {"message": "the API server is down"}, JSON)
        _ = self.machines
        return await self._api.answer(request)

    def take_down(self, _: dt.datetime) -> None:
        """Stop answering and drop every connection."""
        self._up = False
        self._drop()

    def bring_up(self, _: dt.datetime) -> None:
        """Answer again."""
        self._up = True

    def empty(self) -> None:
        """Start without nodes, as a cluster does that is being created or stopped; before anybody has looked."""
        self._inhabited = False

    def renew(self, when: dt.datetime) -> None:
        """Replace the whole generation of keys; what the old one signed is nobody's from now on."""
        self._retired.append(self._generation().authority)
        before = self._generation()
        self._renewed = new_generation(self.fqdn, when)
        if self._token_survives:
            self._renewed = replace(self._renewed, token=before.token)
        if self._webhook_breaks:
            admission.declare(self.store, "policy-webhook", before.authority.certificate_pem, when)
        self.machines.blocked = admission.stops_pods(self.store, self._retired_pems())
        self._context = None
        self._drop()

    def keep_token_at_renewal(self) -> None:
        """A fault: the next generation keeps the static token of this one."""
        self._token_survives = True

    def break_webhook_at_renewal(self) -> None:
        """A fault: an admission webhook trusts the old authority and nothing else; no pod is let in any more."""
        self._webhook_breaks = True

    def govern(self, regime: Regime, when: dt.datetime) -> None:
        """Put other sign-in and authorization settings in force."""
        self.regime = regime
        if "store" in self.__dict__:
            self._bind_admins(self.store, when)

    def _drop(self) -> None:
        for transport in list(self.connections):
            transport.abort()
        self.connections.clear()

    def _bind_admins(self, store: Store, when: dt.datetime) -> None:
        if self.regime.identity == "managed" and self.regime.admin_groups:
            self._bind(store, ENTRA_ADMIN_BINDING, [group_subject(it) for it in self.regime.admin_groups], when)
        else:
            store.delete(BINDINGS, "", ENTRA_ADMIN_BINDING)

    @staticmethod
    def _bind(store: Store, name: str, subjects: list[dict[str, str]], when: dt.datetime) -> None:
        metadata = {"name": name, "labels": RECONCILED}
        document = {"metadata": metadata, "roleRef": role_reference("cluster-admin"), "subjects": subjects}
        store.put(BINDINGS, document, when)
