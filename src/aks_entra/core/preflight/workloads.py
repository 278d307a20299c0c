"""The workloads of a cluster that a rotation may break. Only names: no value of a secret is ever read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A deployment, stateful set or daemon set, such as `Deployment pay/ledger`, and its replicas."""

    label: str
    desired: int
    available: int
    scalable: bool = True  # False for a daemon set, which has one pod per node


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Lists of names as `pay/ledger`. None: the prover may not read that kind of object.

    `requests`: how many lists the API server was asked for and let in, to know these calls in its audit log.
    """

    controllers: tuple[Controller, ...] | None = None
    budgets: tuple[str, ...] | None = None  # PodDisruptionBudgets that allow no eviction now
    bare_pods: tuple[str, ...] | None = None  # pods without a controller
    node_local: tuple[str, ...] | None = None  # pods with emptyDir on disk or hostPath; volumes that live on a node
    webhooks: tuple[str, ...] | None = None  # webhooks with their own caBundle
    pinned_ca: tuple[str, ...] | None = None  # config maps with a copy of the cluster's CA
    kubeconfigs: tuple[str, ...] | None = None  # secrets whose names suggest one
    static_tokens: tuple[str, ...] | None = None  # secrets of type kubernetes.io/service-account-token
    masters: tuple[str, ...] | None = None  # bindings of group system:masters, except Kubernetes' own
    requests: int = 0

    @property
    def unread(self) -> tuple[str, ...]:
        """The kinds of objects that could not be read, as words."""
        return tuple(
            words
            for words, found in (
                ("workloads", self.controllers),
                ("disruption budgets", self.budgets),
                ("pods", self.bare_pods),
                ("volumes", self.node_local),
                ("webhooks", self.webhooks),
                ("config maps", self.pinned_ca),
                ("names of secrets", self.kubeconfigs),
                ("service-account tokens", self.static_tokens),
                ("cluster role bindings", self.masters),
            )
            if found is None
        )
