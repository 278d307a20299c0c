"""The domains of the tenant: the sandbox has its initial one."""

from __future__ import annotations

from azure_sandbox.front.http import Reply
from azure_sandbox.graph import access, query
from azure_sandbox.graph.call import Call
from azure_sandbox.graph.documents import Document


async def listing(call: Call) -> Reply:
    """GET /domains."""
    call.caller.must_read(access.READ_DOMAINS)
    query.understood(call.request, "$select")
    shown: Document = {
        "authenticationType": "Managed",
        "availabilityStatus": None,
        "id": call.directory.tenant.domain,
        "isAdminManaged": True,
        "isDefault": True,
        "isInitial": True,
        "isRoot": True,
        "isVerified": True,
        "supportedServices": [],
    }
    return query.page(call.request, [shown], "domains", shown)
