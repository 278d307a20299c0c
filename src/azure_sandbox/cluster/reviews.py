"""Review objects: who am I (SelfSubjectReview), may I, may they (access reviews), whose token is this (TokenReview)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from azure_sandbox.cluster.guard import AUTHENTICATED, Answer, Guard
from azure_sandbox.cluster.rbac import Attributes, Caller, grants
from azure_sandbox.cluster.status import invalid_field
from azure_sandbox.cluster.store import Store

Document = dict[str, Any]


def attributes_of(spec: Document, group: str) -> Attributes:
    """Return what a review asks about. Raises a 422 unless it is exactly one resource or path."""
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid_field(group, "spec.resourceAttributes", f"Invalid value: null: {message}")
    if path is not None:
        return Attributes(verb=path.get("verb", ""), path=path.get("path", ""))
    assert resource is not None  # noqa: S101  # mypy cannot follow the exclusive or
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(**{name: resource.get(name, "") for name in names})


def _verdict(answer: Answer) -> Document:
    status: Document = {"allowed": answer.allowed}
    if answer.reason:
        status["reason"] = answer.reason
    return status


class Reviews:
    """Answers reviews."""

    def __init__(self, guard: Guard, store: Store) -> None:
        self._guard = guard
        self._store = store

    def answer(self, kind: str, group: str, document: Document, caller: Caller, now: dt.datetime) -> Document:
        """Return the status for a review of a kind."""
        spec: Document = document.get("spec") or {}
        match kind:
            case "SelfSubjectReview":
                return {"userInfo": caller.info()}
            case "TokenReview":
                return self._token(spec, now)
            case "SelfSubjectAccessReview":
                return _verdict(self._guard.may(caller, attributes_of(spec, group)))
            case "SubjectAccessReview" | "LocalSubjectAccessReview":
                return _verdict(self._guard.may(subject(spec), attributes_of(spec, group)))
            case _:
                return self._rules(caller, spec.get("namespace", ""))

    def _token(self, spec: Document, now: dt.datetime) -> Document:
        caller = self._guard.whose(spec.get("token", ""), now)
        if caller is None:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": caller.info()}

    def _rules(self, caller: Caller, namespace: str) -> Document:
        """Return the rules by Kubernetes RBAC. As in AKS, a webhook authorizer cannot list its rules."""
        resources: list[Document] = []
        paths: list[Document] = []
        for grant in grants(self._store, caller, namespace):
            (paths if "nonResourceURLs" in grant.rule else resources).append(grant.rule)
        status: Document = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
        if self._guard.asks_azure:
            status |= {
                "incomplete": True,
                "evaluationError": "webhook authorizer does not support user rule resolution",
            }
        return status


def subject(spec: Document) -> Caller:
    """Return the user that a review asks about."""
    groups = tuple(spec.get("groups") or ())
    extra = spec.get("extra") or {}
    return Caller(
        name=spec.get("user", ""),
        uid=spec.get("uid", ""),
        groups=groups if AUTHENTICATED in groups else (*groups, AUTHENTICATED) if spec.get("user") else groups,
        extra=extra,
        entra="oid" in extra,
    )
