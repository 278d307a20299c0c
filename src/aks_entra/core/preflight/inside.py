"""What runs in a cluster, as far as a rotation hurts it. Names only: no value of a secret is ever read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A deployment, stateful set or daemon set: `Deployment pay/ledger`, and how it stands."""

    label: str
    desired: int
    available: int
    scalable: bool = True  # a daemon set has one pod per node whatever it wants


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Lists of names as `pay/ledger`. None: the prover may not read that kind of object."""

    controllers: tuple[Controller, ...] | None = None
    budgets: tuple[str, ...] | None = None  # PodDisruptionBudgets that allow no eviction now
    bare_pods: tuple[str, ...] | None = None  # that no controller owns
    node_local: tuple[str, ...] | None = None  # pods with emptyDir on disk or hostPath; volumes that live on a node
    webhooks: tuple[str, ...] | None = None  # with a caBundle of their own
    pinned_ca: tuple[str, ...] | None = None  # config maps with a copy of the cluster's CA
    kubeconfigs: tuple[str, ...] | None = None  # secrets by whose name they carry one
    static_tokens: tuple[str, ...] | None = None  # secrets of type kubernetes.io/service-account-token
    masters: tuple[str, ...] | None = None  # bindings of group system:masters beside Kubernetes' own

    @property
    def unread(self) -> tuple[str, ...]:
        """Which kinds could not be read, in words."""
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
