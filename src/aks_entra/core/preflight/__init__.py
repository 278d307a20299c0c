"""Preflight: one function per rule, each with an id, a severity, what was seen and what to do about it."""

from aks_entra.core.deny_policy import LOCAL_ACCOUNTS_POLICY
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.facts import (
    WAY_BACK,
    ApproversSeen,
    ConditionalAccessPolicy,
    Denial,
    Endpoint,
    Facts,
    GroupFacts,
    Home,
    HubSeen,
    Lock,
    Memberships,
    NodeDisruption,
    PersonSignIn,
    Policy,
    PolicyEvaluation,
    Quota,
    ScaleSetAddition,
    Subnet,
    Tools,
    Writer,
)
from aks_entra.core.preflight.finding import Finding, Rule, Severity, Skip
from aks_entra.core.preflight.lockout import denies_local_accounts
from aks_entra.core.preflight.ownership import ADMIN_GROUPS_POLICY
from aks_entra.core.preflight.registry import HELD, RULES, SKIPPABLE, barring, preflight, reference, skip_refused
from aks_entra.core.preflight.workloads import Controller, Inside

__all__ = [
    "ADMIN_GROUPS_POLICY",
    "HELD",
    "LOCAL_ACCOUNTS_POLICY",
    "RULES",
    "SKIPPABLE",
    "WAY_BACK",
    "ApproversSeen",
    "Case",
    "ConditionalAccessPolicy",
    "Controller",
    "Denial",
    "Endpoint",
    "Facts",
    "Finding",
    "GroupFacts",
    "Home",
    "HubSeen",
    "Inside",
    "Lock",
    "Memberships",
    "NodeDisruption",
    "PersonSignIn",
    "Policy",
    "PolicyEvaluation",
    "Quota",
    "Rule",
    "ScaleSetAddition",
    "Severity",
    "Skip",
    "Subnet",
    "Tools",
    "Writer",
    "barring",
    "denies_local_accounts",
    "preflight",
    "reference",
    "skip_refused",
]
