"""Faults on the wire with Azure's own SDKs: the result is the same as without them, and each fault is consumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aks_entra.core.verdict.verdict import Outcome
from azure_sandbox.faults.requests import throttled
from azure_sandbox.front.http import Reply
from tests.contract.one_migration import planned
from tests.contract.small_world import cluster
from tests.support.executor_jobs import job_of

if TYPE_CHECKING:
    from azure_sandbox.server import Sandbox
    from tests.contract.small_world import Opener

ARM, API = "management.azure.com", "*.azmk8s.io"
PLAIN = "/managedClusters/plain$"
ROTATE = "/managedClusters/plain/rotateClusterCertificates$"


def error(status: int, code: str, message: str = "not now", **headers: str) -> Reply:
    return Reply(
        status,
        {"error": {"code": code, "message": message}},
        {key.replace("_", "-"): value for key, value in headers.items()},
    )


BUSY = "Operation is not allowed because there's an in progress update managed cluster operation on the managed cluster"
SURVIVED = {
    "PUT 429 with Retry-After": ("PUT", PLAIN, ARM, throttled(0), False),
    "PUT 503": ("PUT", PLAIN, ARM, error(503, "ServiceUnavailable", Retry_After="0"), False),
    "PUT 409 in progress": ("PUT", PLAIN, ARM, error(409, "OperationNotAllowed", BUSY, Retry_After="0"), False),
    "PUT 409 EtagMismatch": ("PUT", PLAIN, ARM, error(409, "EtagMismatch", Retry_After="0"), False),
    "PUT 412": ("PUT", PLAIN, ARM, error(412, "PreconditionFailed", "the etag differs", Retry_After="0"), False),
    "PUT cut after its effect": ("PUT", PLAIN, ARM, None, True),
    "PUT 500 after its effect": ("PUT", PLAIN, ARM, error(500, "InternalServerError", Retry_After="0"), True),
    "rotation 429": ("POST", ROTATE, ARM, throttled(0), False),
    "rotation cut after its effect": ("POST", ROTATE, ARM, None, True),
    "rotation 504 after its effect": ("POST", ROTATE, ARM, error(504, "GatewayTimeout", Retry_After="0"), True),
    "operation 404": ("GET", "/operations/", ARM, error(404, "NotFound"), False),
    "operation 502": ("GET", "/operations/", ARM, error(502, "BadGateway", Retry_After="0"), False),
    "operation that is not JSON": ("GET", "/operations/", ARM, Reply(200, "<html>", {}), False),
    "operation with an error and InProgress": (
        "GET",
        "/operations/",
        ARM,
        Reply(200, {"name": "x", "status": "InProgress", "error": {"code": "NotLatestOperation", "message": "m"}}, {}),
        False,
    ),
    "read 503": ("GET", PLAIN, ARM, error(503, "ServiceUnavailable", Retry_After="0"), False),
    "API server 401": ("POST", "/selfsubjectreviews", API, Reply(401, {"kind": "Status", "code": 401}, {}), False),
    "API server cut": ("GET", "/api/v1/nodes", API, None, False),
}


@pytest.mark.parametrize("name", SURVIVED)
async def test_a_migration_with_a_transient_fault_ends_verified(name: str, opened: Opener, box: Sandbox) -> None:
    method, path, host, answer, lost = SURVIVED[name]
    async with opened() as session:
        plan = await planned(session, "plain")
        box.faults.add(method, path, host=host, answer=answer, lost=lost)
        verdict = await session.executor.migrate(job_of(plan))
        assert box.faults.waiting == ()
        assert verdict.outcome is Outcome.VERIFIED, verdict.because
        assert (await session.ports.arm.cluster(cluster("plain"))).tags == (("env", "prod"),)
