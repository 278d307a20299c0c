"""Conditional Access as the document has it: a policy, a person's own sign-in under it, and the log that shows it.

Report-only first, then enforced. The same with the real `kubectl` and `kubelogin` where they are built.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from azure_sandbox.server import Sandbox
from tests.journeys.test_just_in_time import BY_HAND, PIM_TOOL, WORLD, at_work, clients, nodes, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["clients", "nodes"]
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
    operator = opened(sandbox, tmp_path / "operator", person=False)
    dana, erin, carl = (at_work(sandbox, name, tmp_path) for name in ("dana", "erin", "carl"))
    for one in (dana, erin):
        (one.terminal.home / "nodes.py").write_text(BY_HAND)
        await operator.run(f"aks-entra kubeconfig -g shop-weu -n guarded --mode devicecode --file ../{one.name}/config")

    apply = "aks-entra access conditional-access apply --group platform --require mfa --yes -o json"
    show = "aks-entra access conditional-access show aks-policy"

    async def said(*words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await operator.run(f"{show} {' '.join(words)} -o json"))["signIns"]
        return found

    # a person of the group who applies it would be kept out by it: refused before anything is written
    refused = await carl.refused(f"{apply} --break-glass glass@contoso.com")
    assert "C006 carl@contoso.com runs, or proves, the automation, and the policy would keep it out" in refused
    assert "0 policies are called" in await operator.refused(show)

    # report-only: everybody gets in, and the log says who would not have
    apply += " --break-glass glass@contoso.com"
    assert json.loads(await operator.run(apply))["state"] == "enabledForReportingButNotEnforced"
    assert "no sign-in met the policy" in await operator.refused(f"AKS_ENTRA_GRANT_LIMIT=0.5 {show} --until-applied")
    await dana.run(get_nodes)
    await erin.run(get_nodes)
    (hers,) = await said("--of dana@contoso.com", "--until-applied")
    assert (hers["result"], hers["client"], hers["error"]) == (
        "reportOnlySuccess",
        "Azure Kubernetes Service AAD Client",
        0,
    )
    (theirs,) = await said("--of erin@contoso.com")
    assert (theirs["result"], theirs["error"]) == ("reportOnlyInterrupted", 0)

    # enforced: dana's second factor lets her in, erin is kept out, and the log says both
    enforced = await operator.type(f"{apply} --enforce")
    assert json.loads(enforced.out)["state"] == "enabled"
    assert "C107 erin@contoso.com would have had to do something first" in enforced.err
    await dana.run(f"{anew}; {get_nodes}")
    await erin.refused(f"{anew}; {get_nodes}")  # kubelogin says "400" and no more; the page and the log say why
    assert "AADSTS50079" in erin.told[-1]
    assert [one["result"] for one in await said("--of dana@contoso.com")] == ["success", "reportOnlySuccess"]
    newest = (await said("--of erin@contoso.com"))[0]
    assert (newest["result"], newest["error"]) == ("failure", 50079)
    assert PIM_TOOL not in json.dumps(await said())  # sign-ins at Graph are not at AKS
