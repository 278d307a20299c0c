"""The API server of one cluster. It knows no sockets: the front opens, reads and aborts connections."""

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
from azure_sandbox.front.http import Reply, Request

INSTANCES = 3  # of an API server if one of them is stale
BINDINGS = (RBAC_GROUP, "clusterrolebindings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """The properties from which an API server is built when it gets its first request."""

    resource_id: str
    fqdn: str
    version: str
    node_group: str
    created: dt.datetime
    ca_created: dt.datetime
    pools: tuple[Pool, ...] = ()
    workloads: tuple[Workload, ...] = ()
    declared: Declared = field(default_factory=Declared)
    real: bool = False


class ApiServer:
    """The API server of one cluster in its present state."""

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
        self._instance_stays = False
        self._stale: Generation | None = None  # keys of an instance that still uses the old ones
        self._turns = 0
        self._at_stale = False
        self._directory = directory
        self._tokens = tokens
        self._azure = azure

    @property
    def fqdn(self) -> str:
        """Return the fully qualified domain name."""
        return self.blueprint.fqdn

    @cached_property
    def _first(self) -> Generation:
        return new_generation(self.fqdn, self.blueprint.ca_created)

    @property
    def generation(self) -> Generation:
        """Return the keys in force."""
        self.settle()
        return self._generation()

    @property
    def keys(self) -> Generation:
        """Return the keys in force at the last `settle`."""
        return self._generation()

    def _generation(self) -> Generation:
        return self._renewed or self._first

    @cached_property
    def store(self) -> Store:
        """Return the store of objects."""
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
        """Return the nodes and what runs on them."""
        machines = Machines(store=self.store, node_group=self.blueprint.node_group, pools=self.blueprint.pools)
        machines.add(self.blueprint.workloads)
        if self._inhabited:
            machines.appear(self.blueprint.created)
        return machines

    @cached_property
    def guard(self) -> Guard:
        """Return the authentication and authorization."""
        return Guard(
            resource_id=self.blueprint.resource_id,
            store=self.store,
            directory=self._directory,
            tokens=self._tokens,
            azure=self._azure,
            regime=lambda: self.regime,
            generation=self._answering,
        )

    def _answering(self) -> Generation:
        """Return the keys of the instance that answers the present request."""
        return self._stale if self._stale is not None and self._at_stale else self._generation()

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
        """Return whether its keys exist. Keys that were never used need not be stored."""
        return self._renewed is not None or "_first" in self.__dict__

    @property
    def retired(self) -> tuple[KeyPair, ...]:
        """Return the CAs before the present one."""
        return tuple(self._retired)

    def restore(self, generation: Generation, retired: Iterable[tuple[Certificate, EllipticCurvePrivateKey]]) -> None:
        """Restore the keys of an earlier run."""
        self._renewed = generation
        self._retired = [KeyPair(certificate=certificate, key=key) for certificate, key in retired]
        self._context = None

    def life(self) -> dict[str, Any]:
        """Return the state without keys, as plain data."""
        life: dict[str, Any] = {
            "up": self._up,
            "inhabited": self._inhabited,
            "tokenSurvives": self._token_survives,
            "webhookBreaks": self._webhook_breaks,
            "instanceStays": self._instance_stays,
            "regime": self.regime,
        }
        if "store" in self.__dict__ and not self.blueprint.real:  # a real control plane keeps its objects in etcd
            life["store"] = self.store.kept()
        if "machines" in self.__dict__:
            its = self.machines
            life["machines"] = {"pools": its.pools, "blocked": its.blocked, "lost": its.lost}
        return life

    def live_on(self, life: dict[str, Any]) -> None:
        """Restore the state that `life` returned."""
        self._up, self._inhabited, self.regime = life["up"], life["inhabited"], life["regime"]
        self._token_survives, self._webhook_breaks = life["tokenSurvives"], life["webhookBreaks"]
        self._instance_stays = life.get("instanceStays", False)
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
        """Apply all changes that are due. A real control plane must catch up after each of them."""
        clock, front = self._clock, self.front
        set_by_hand = clock.now() if clock.by_hand else None
        if front is None:
            self.timeline.settle(clock.progress(), set_by_hand)
        else:
            self.timeline.settle(clock.progress(), set_by_hand, front.behind)
            front.wake()

    @property
    def up(self) -> bool:
        """Return whether it was running at the last `settle`."""
        return self._up

    @property
    def reachable(self) -> bool:
        """Return False if it is stopped or being rotated. The proxy then refuses the CONNECT."""
        self.settle()
        return self._up

    def ssl_context(self) -> SSLContext:
        """Return the TLS context for a new connection. Call it before the connection is added to `connections`."""
        self.settle()
        if self._context is None:
            generation = self._generation()
            self._context = server_context(generation.server, (generation.authority, *self._retired))
        return self._context

    async def handle(self, request: Request) -> Reply:
        """Answer a request. If the server is down, the connection is aborted."""
        self.settle()
        if not self._up:
            return Reply(503, {"message": "the API server is down"}, JSON)
        _ = self.machines
        self._turns += 1
        self._at_stale = self._turns % INSTANCES == 0
        return await self._api.answer(request)

    def take_down(self, _: dt.datetime) -> None:
        """Stop answering, and abort all connections."""
        self._up = False
        self._drop()

    def bring_up(self, _: dt.datetime) -> None:
        """Start answering."""
        self._up = True

    def empty(self) -> None:
        """Start without nodes, because the cluster is being created or is stopped. Call it before the first request."""
        self._inhabited = False

    def renew(self, when: dt.datetime) -> None:
        """Replace all keys. Credentials of the previous generation stop working."""
        self._retired.append(self._generation().authority)
        before = self._generation()
        self._stale = before if self._instance_stays else None
        self._renewed = new_generation(self.fqdn, when)
        if self._token_survives:
            self._renewed = replace(self._renewed, token=before.token)
        if self._webhook_breaks:
            admission.declare(self.store, "policy-webhook", before.authority.certificate_pem, when)
        self.machines.blocked = admission.stops_pods(self.store, self._retired_pems())
        self._context = None
        self._drop()

    def keep_token_at_renewal(self) -> None:
        """Inject a fault: the next generation keeps the static token."""
        self._token_survives = True

    def keep_instance_at_renewal(self) -> None:
        """Inject a fault: one of the instances, which answer in turn, continues with the old keys."""
        self._instance_stays = True

    def break_webhook_at_renewal(self) -> None:
        """Inject a fault: an admission webhook trusts only the old CA, so no pod is admitted any more."""
        self._webhook_breaks = True

    def govern(self, regime: Regime, when: dt.datetime) -> None:
        """Put new sign-in and authorization settings in force."""
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
