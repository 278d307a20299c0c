"""Preflight: one function per rule, each with an id, a severity, what was seen and what to do about it."""

from aks_entra.core.preflight.case import Case
from aks_entra.core.preflight.facts import (
    Endpoint,
    Facts,
    GroupFacts,
    Home,
    Lock,
    Memberships,
    Policy,
    Quota,
    SignInRule,
    Subnet,
    Tools,
    Writer,
)
from aks_entra.core.preflight.finding import Finding, Rule, Severity, Skip
from aks_entra.core.preflight.inside import Controller, Inside
from aks_entra.core.preflight.lockout import LOCAL_ACCOUNTS_POLICY
from aks_entra.core.preflight.ownership import ADMIN_GROUPS_POLICY
from aks_entra.core.preflight.registry import RULES, SKIPPABLE, preflight, reference, skip_refused

__all__ = [
    "ADMIN_GROUPS_POLICY",
    "LOCAL_ACCOUNTS_POLICY",
    "RULES",
    "SKIPPABLE",
    "Case",
    "Controller",
    "Endpoint",
    "Facts",
    "Finding",
    "GroupFacts",
    "Home",
    "Inside",
    "Lock",
    "Memberships",
    "Policy",
    "Quota",
    "Rule",
    "Severity",
    "SignInRule",
    "Skip",
    "Subnet",
    "Tools",
    "Writer",
    "preflight",
    "reference",
    "skip_refused",
]
