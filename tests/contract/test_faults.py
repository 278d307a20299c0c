"""Faults on the wire, met by Azure's own SDKs: the same end as without them, each fault consumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aks_entra.core.verdict import Outcome
from azure_sandbox.faults import throttled
from azure_sandbox.http import Reply
from tests.contract.conftest import cluster
from tests.contract.test_wayback import job, planned

if TYPE_CHECKING:
    from azure_sandbox.server import Sandbox
    from tests.contract.conftest import Opener

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
    "operation that is no JSON": ("GET", "/operations/", ARM, Reply(200, "<html>", {}), False),
    "operation with an error beside InProgress": (
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
async def test_a_fault_that_passes_ends_verified(name: str, opened: Opener, box: Sandbox) -> None:
    method, path, host, answer, lost = SURVIVED[name]
    async with opened() as session:
        plan = await planned(session, "plain")
        box.faults.add(method, path, host=host, answer=answer, lost=lost)
        verdict = await session.executor.migrate(job(plan))
        assert box.faults.waiting == ()
        assert verdict.outcome is Outcome.VERIFIED, verdict.because
        assert (await session.ports.arm.cluster(cluster("plain"))).tags == (("env", "prod"),)
