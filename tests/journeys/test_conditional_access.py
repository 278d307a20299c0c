"""Conditional Access as Azure's page describes it: a policy, a person's sign-in under it, and the sign-in log.

The policy is report-only first and then enforced. With the built `kubectl` and `kubelogin`, the tests use those too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from azure_sandbox.server import Sandbox
from tests.journeys.just_in_time import PIM_TOOL, READ_NODES, WORLD, person_of, terminal_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GUARDED = (
    WORLD.replace(
        "Directory.Read.All, AuditLog.Read.All, Policy.Read.All,",
        "Directory.Read.All, AuditLog.Read.All, Policy.Read.All, Policy.ReadWrite.ConditionalAccess,",
    )
    .replace("  - {name: dana, upn: dana@contoso.com}\n", "  - {name: dana, upn: dana@contoso.com, mfa: true}\n")
    .replace(
        "  - {name: erin, upn: erin@contoso.com}\n",
        "  - {name: erin, upn: erin@contoso.com, mfa: false}\n"
        "  - {name: carl, upn: carl@contoso.com, roles: [Conditional Access Administrator]}\n"
        "  - {name: glass, upn: glass@contoso.com}\n",
    )
    .replace("{name: platform, members: [operator]}", "{name: platform, members: [operator, dana, erin, carl]}")
    .replace(
        "delegatedPermissions: [User.ReadBasic.All,",
        "delegatedPermissions: [User.ReadBasic.All, Policy.Read.All, Policy.ReadWrite.ConditionalAccess,\n"
        "      Application.Read.All, AuditLog.Read.All, Directory.Read.All,",
    )
)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    world = tmp_path / "world.yaml"
    world.write_text(GUARDED)
    async with Sandbox(world) as sandbox:
        yield sandbox


async def test_a_policy_is_seen_to_apply_to_a_persons_sign_in(
    sandbox: Sandbox, tmp_path: Path, nodes: tuple[str, str]
) -> None:
    get_nodes, anew = nodes
    operator = terminal_of(sandbox, tmp_path / "operator", person=False)
    dana, erin, carl = (person_of(sandbox, name, tmp_path) for name in ("dana", "erin", "carl"))
    for one in (dana, erin):
        (one.terminal.home / "nodes.py").write_text(READ_NODES)
        await operator.run(
            f"aks-entra kubeconfig -g shop-weu -n guarded --login devicecode --file ../{one.name}/config"
        )

    apply = "aks-entra access conditional-access apply --group platform --require mfa --yes -o json"
    show = "aks-entra access conditional-access show aks-policy"

    async def said(*words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await operator.run(f"{show} {' '.join(words)} -o json"))["signIns"]
        return found

    # the policy would block the person who applies it: it is refused before any write
    refused = await carl.refused(f"{apply} --break-glass glass@contoso.com")
    assert "C006 carl@contoso.com runs the automation or proves sign-in, and the policy would block it" in refused
    assert "0 policies are called" in await operator.refused(show)

    # report-only: everybody gets in, and the log says who would be blocked
    apply += " --break-glass glass@contoso.com"
    assert json.loads(await operator.run(apply))["state"] == "enabledForReportingButNotEnforced"
    assert "applied to no sign-in" in await operator.refused(f"AKS_ENTRA_GRANT_LIMIT=0.5 {show} --until-applied")
    await dana.run(get_nodes)
    await erin.run(get_nodes)
    (hers,) = await said("--user dana@contoso.com", "--until-applied")
    assert (hers["result"], hers["client"], hers["error"]) == (
        "reportOnlySuccess",
        "Azure Kubernetes Service AAD Client",
        0,
    )
    (theirs,) = await said("--user erin@contoso.com")
    assert (theirs["result"], theirs["error"]) == ("reportOnlyInterrupted", 0)

    # enforced: dana gets in with her second factor, erin is blocked, and the log shows both
    enforced = await operator.type(f"{apply} --enforce")
    assert json.loads(enforced.out)["state"] == "enabled"
    assert "C107 the policy would have interrupted erin@contoso.com" in enforced.err
    await dana.run(f"{anew}; {get_nodes}")
    await erin.refused(f"{anew}; {get_nodes}")  # kubelogin only says "400"; the page and the log say why
    assert "AADSTS50079" in erin.refusals[-1]
    assert [one["result"] for one in await said("--user dana@contoso.com")] == ["success", "reportOnlySuccess"]
    newest = (await said("--user erin@contoso.com"))[0]
    assert (newest["result"], newest["error"]) == ("failure", 50079)
    assert PIM_TOOL not in json.dumps(await said())  # a sign-in to Graph is not a sign-in to AKS
