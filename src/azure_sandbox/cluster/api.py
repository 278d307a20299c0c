"""The HTTP interface of an API server: paths to objects, after authentication and authorization."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from azure_sandbox.cluster import discovery, openapi, shapes, signing, status
from azure_sandbox.cluster.guard import Guard, forbidden_message
from azure_sandbox.cluster.metadata_only import metadata_list, wants_metadata
from azure_sandbox.cluster.options import write_options
from azure_sandbox.cluster.patches import patched
from azure_sandbox.cluster.rbac import Attributes, Caller
from azure_sandbox.cluster.resources import BY_PATH, REVIEWS, Resource, versions
from azure_sandbox.cluster.reviews import Reviews
from azure_sandbox.cluster.selectors import matches
from azure_sandbox.cluster.store import Store, stamp
from azure_sandbox.cluster.tables import table, wants_table
from azure_sandbox.cluster.watch import Watch
from azure_sandbox.cluster.wire import document
from azure_sandbox.cluster.writes import Writes
from azure_sandbox.front.http import Problem, Reply, Request

JSON = {"content-type": "application/json"}
NO_PAGE = Reply(404, "404 page not found\n", {"content-type": "text/plain; charset=utf-8"})
PROBES = ("/healthz", "/livez", "/readyz")
VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
LIST_OPTIONS = {"limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch"}
OPTIONS = {"timeout", "timeoutSeconds", "pretty", "fieldManager", "fieldValidation", "watch", "allowWatchBookmarks"}
LARGEST_BODY = 3 * 1024 * 1024
OPTIONS |= {"sendInitialEvents"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The resource, object or subresource that a path names."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse(path: str) -> Target | None:
    """Parse a resource path. Returns None for the root, discovery and other paths."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:  # noqa: PLR2004  # /api/v1/x
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:  # noqa: PLR2004  # /apis/group/version/x
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:  # noqa: PLR2004  # ns/x/y
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
    name, subresource = (*rest[1:2], "")[0], "/".join(rest[2:])
    return Target(group=group, version=version, plural=rest[0], namespace=namespace, name=name, subresource=subresource)


class Api:
    """The resources of one cluster over HTTP."""

    def __init__(
        self,
        *,
        version: str,
        host: str,
        store: Store,
        guard: Guard,
        writes: Writes,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._settle = settle
        self.version = version
        self._host = host
        self._store = store
        self._guard = guard
        self._writes = writes
        self._reviews = Reviews(guard, store)

    async def answer(self, request: Request) -> Reply:
        """Answer a request. Errors are replies too."""
        try:
            return self._answer(request)
        except Problem as problem:
            return Reply(problem.status, problem.body, {**JSON, **problem.headers})

    def _answer(self, request: Request) -> Reply:
        caller = self._guard.who(request.headers.get("authorization"), request.peer_certificate, request.now)
        if caller is None:
            raise status.unauthorized()
        if any(name.lower().startswith("impersonate-") for name in request.headers):
            raise status.not_modelled("impersonation")
        if len(request.body) > LARGEST_BODY:
            raise status.too_large(LARGEST_BODY)
        path = request.path
        target = parse(path)
        if target is None:
            self._authorize(caller, Attributes(verb=VERBS.get(request.method, "").lower(), path=path))
            return self._path(request, path)
        verb = _verb(request.method, target)
        if verb in {"get", "list"} and request.query.get("watch", "").lower() in {"1", "true"}:
            verb = "watch"
        self._authorize(caller, _attributes(verb, target))
        if (kind := _review(target)) is not None:
            return self._review(request, target, kind, caller)
        resource = BY_PATH.get((target.group, target.version, target.plural))
        if resource is None:
            return _no_resource(target)
        if target.subresource:
            return self._subresource(request, target, verb, caller)
        return self._resource(request, target, resource, verb, caller)

    def _authorize(self, caller: Caller, attributes: Attributes) -> None:
        answer = self._guard.may(caller, attributes)
        if not answer.allowed:
            details: dict[str, Any] = {"name": attributes.name} if attributes.name else {}
            details |= {"group": attributes.group} if attributes.group else {}
            details |= {"kind": attributes.resource} if attributes.resource else {}
            raise status.forbidden(forbidden_message(caller, attributes, answer.reason), details)

    def _path(self, request: Request, path: str) -> Reply:
        bare = path.rstrip("/")
        if request.method not in {"GET", "HEAD"}:
            raise status.not_allowed()
        accept = request.headers.get("accept", "")
        if bare in PROBES:
            return Reply(200, "ok")
        if bare == "/api":
            return discovery.legacy_root(self._host, accept)
        if bare == "/apis":
            return discovery.named_root(accept)
        if bare.startswith("/openapi/v3") and (found := openapi.described(bare, self.version)) is not None:
            return Reply(200, found, JSON)
        if bare.startswith("/openapi"):
            raise status.not_modelled("this OpenAPI description")
        found = self._version() if bare == "/version" else discovery.described(bare)
        if found is None:
            return NO_PAGE
        return Reply(200, found, JSON)

    def _version(self) -> dict[str, Any]:
        major, minor = self.version.split(".")[:2]
        return {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{self.version}",
            "gitCommit": "0" * 40,
            "gitTreeState": "clean",
            "buildDate": "2026-01-01T00:00:00Z",
            "goVersion": "go1.24.6",
            "compiler": "gc",
            "platform": "linux/amd64",
        }

    def _review(self, request: Request, target: Target, kind: str, caller: Caller) -> Reply:
        if request.method != "POST":
            raise status.not_allowed()
        write_options(request, "create")  # a review stores nothing, dry run or not
        sent = _document(request, kind)
        answer = self._reviews.answer(kind, target.group, sent, caller, request.now)
        spec = {} if kind == "SelfSubjectRulesReview" else sent.get("spec") or {}  # not echoed
        body = {
            "kind": kind,
            "apiVersion": f"{target.group}/{target.version}",
            "metadata": {"creationTimestamp": stamp(request.now)} if kind == "SelfSubjectReview" else {},
            **({"spec": spec} if kind != "SelfSubjectReview" else {}),
            "status": answer,
        }
        return Reply(201, body, JSON)

    def _subresource(self, request: Request, target: Target, verb: str, caller: Caller) -> Reply:
        if (target.plural, target.subresource, verb) == ("serviceaccounts", "token", "create"):
            write_options(request, verb)
            return Reply(201, self._writes.token(_document(request), target.namespace, target.name, request.now), JSON)
        if (target.plural, target.subresource, verb) == (signing.PLURAL, "approval", "update"):
            sent = _document(request, signing.KIND)
            return Reply(200, self._writes.approvals.decide(target.name, sent, caller, request.now), JSON)
        raise status.not_modelled(f"{verb} of {target.plural}/{target.subresource}")

    def _resource(self, request: Request, target: Target, resource: Resource, verb: str, caller: Caller) -> Reply:
        if verb not in resource.verbs:
            absent = self._store.get(resource.key, self._home(resource, target), target.name) is None
            if verb == "delete" and absent:
                raise status.not_found(resource.group, resource.plural, target.name)
            raise status.not_modelled(f"{verb} of {resource.plural}")
        match verb:
            case "watch":
                return self._watch(request, target, resource)
            case "list":
                return self._list(request, target, resource)
            case "get":
                held = self._store.get(resource.key, self._home(resource, target), target.name)
                if held is None:
                    raise status.not_found(resource.group, resource.plural, target.name)
                if wants_table(request.headers.get("accept", "")):
                    return Reply(200, table(resource, [held], {}, request.now), JSON)
                return Reply(200, held, JSON)
            case _:
                return self._write(request, target, resource, verb, caller)

    def _write(self, request: Request, target: Target, resource: Resource, verb: str, caller: Caller) -> Reply:
        options, home, now = write_options(request, verb), self._home(resource, target), request.now
        if verb == "delete":
            return Reply(200, self._writes.delete(resource, home, target.name, options, now), JSON)
        if verb == "patch":
            held = self._store.get(resource.key, home, target.name)
            if held is None:
                raise status.not_found(resource.group, resource.plural, target.name)
            sent = patched(request, held)
            shapes.check(sent)
        else:
            sent = _document(request, resource.kind)
        options.check_fields(resource, sent)
        if verb == "create":
            return Reply(201, self._writes.create(resource, sent, target.namespace, caller, now, options), JSON)
        changed = self._writes.update(resource, sent, target.namespace, target.name, caller, now, options)
        return Reply(200, changed, JSON)

    @staticmethod
    def _home(resource: Resource, target: Target) -> str:
        return target.namespace if resource.namespaced else ""

    def _watch(self, request: Request, target: Target, resource: Resource) -> Reply:
        _check_options(request.query)
        watch = Watch(self._store, resource, self._home(resource, target), request.query, self._settle)
        if target.name:
            watch.only(target.name)
        as_table = wants_table(request.headers.get("accept", ""))

        def shown(it: dict[str, Any]) -> dict[str, Any]:
            return table(resource, [it], {}, request.now) if as_table else it

        return Reply(200, None, JSON, stream=watch.lines(shown))

    def _list(self, request: Request, target: Target, resource: Resource) -> Reply:
        query = request.query
        _check_options(query)
        items = self._store.list(resource.key, self._home(resource, target))
        wanted = (query.get("labelSelector", ""), query.get("fieldSelector", ""))
        items = [it for it in items if matches(it, *wanted)]
        page, metadata = _page(items, query, self._store.version)
        if wants_table(request.headers.get("accept", "")):
            return Reply(200, table(resource, page, metadata, request.now), JSON)
        if wants_metadata(request.headers.get("accept", "")):
            return Reply(200, metadata_list(page, metadata), JSON)
        bare = [{key: value for key, value in it.items() if key not in {"kind", "apiVersion"}} for it in page]
        body = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": bare}
        return Reply(200, body, JSON)


def _no_resource(target: Target) -> Reply:
    """Return 404 for an unknown path: a page if the group is unknown, a Status if only its version or resource is."""
    if target.group and target.group not in versions():
        return NO_PAGE
    raise status.no_such_path()


def _document(request: Request, kind: str = "") -> dict[str, Any]:
    found = document(request, kind)
    shapes.check(found)
    return found


def _check_options(query: Mapping[str, str]) -> None:
    for option in query:
        if option not in LIST_OPTIONS | OPTIONS:
            raise status.not_modelled(f"the list option {option}")


def _verb(method: str, target: Target) -> str:
    verb = VERBS.get(method)
    if verb is None:
        raise status.not_allowed()
    if not target.name:
        if verb in {"update", "patch"}:
            raise status.not_allowed()
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    return verb


def _attributes(verb: str, target: Target) -> Attributes:
    return Attributes(
        verb=verb,
        group=target.group,
        resource=target.plural,
        subresource=target.subresource,
        namespace=target.namespace,
        name=target.name,
    )


def _review(target: Target) -> str | None:
    kinds = REVIEWS.get(target.group, {}).get(target.version, ())
    return next((kind for kind in kinds if f"{kind.lower()}s" == target.plural), None)


def _page(
    items: list[dict[str, Any]], query: Mapping[str, str], version: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return one page of a list and the list's metadata. The continue token is an offset.

    An offset is enough because clients read the sandbox's lists within moments.
    """
    start, size = 0, len(items)
    try:
        if query.get("continue"):
            start = int(base64.b64decode(query["continue"], validate=True))
        if query.get("limit"):
            size = int(query["limit"]) or size
    except (ValueError, binascii.Error) as error:
        raise status.bad_request("the continue or limit parameter cannot be read") from error
    if start > len(items):
        raise status.expired("The provided continue parameter is too old")
    metadata: dict[str, Any] = {"resourceVersion": version}
    if start + size < len(items):
        metadata["continue"] = base64.b64encode(str(start + size).encode()).decode()
        metadata["remainingItemCount"] = len(items) - start - size
    return items[start : start + size], metadata
