"""Just-in-time access from the request to the proven end: dana activates, erin approves, and the access expires.

With the built `kubectl` and `kubelogin`, dana uses those. Without them, she sends her token to the API server herself.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from azure_sandbox.server import Sandbox
from tests.journeys.just_in_time import READ_NODES, WORLD, person_of, terminal_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    world = tmp_path / "world.yaml"
    world.write_text(WORLD)
    async with Sandbox(world) as sandbox:
        yield sandbox


async def test_from_asking_to_the_proven_end(sandbox: Sandbox, tmp_path: Path, nodes: tuple[str, str]) -> None:
    get_nodes, anew = nodes
    operator = terminal_of(sandbox, tmp_path / "operator", person=False)
    dana, erin = person_of(sandbox, "dana", tmp_path), person_of(sandbox, "erin", tmp_path)
    (dana.terminal.home / "nodes.py").write_text(READ_NODES)

    # dana is only eligible, so she may request it
    await operator.run('aks-entra access assign on-call --to dana@contoso.com --duration 30d --reason "on call"')
    await operator.run("aks-entra kubeconfig -g shop-weu -n guarded --login devicecode --file ../dana/config")
    assert "forbidden" in await dana.refused(get_nodes)
    explained = await operator.type(
        "aks-entra access explain shop-weu/guarded --as dana@contoso.com list nodes -o json"
    )
    assert "A134" in {one["rule"] for one in json.loads(explained.out)["reasons"]}

    # she requests it with her own sign-in; a longer time than the policy allows is refused at once
    assert "ExpirationRule" in await dana.refused("aks-entra access activate on-call --duration 3h --reason INC-7")
    asked = await dana.run("aks-entra access activate on-call --duration 30m --reason INC-7")
    assert asked.startswith("PendingApproval")
    assert "forbidden" in await dana.refused(f"{anew}; {get_nodes}")

    # erin decides; dana cannot
    waiting = await erin.run("aks-entra access approve --list")
    approval = waiting.split()[0]
    assert "INC-7" in waiting
    assert "does not wait for you" in await dana.refused(f"aks-entra access approve {approval} --reason mine")
    await erin.run(f'aks-entra access approve {approval} --reason "go ahead"')
    listed = json.loads(await operator.run("aks-entra access list --group on-call -o json"))["members"]
    assert {(one["kind"], one["who"], one["activated"]) for one in listed} == {
        ("eligible", "dana@contoso.com", False),
        ("active", "dana@contoso.com", True),
    }

    if "kubectl" in get_nodes:  # the Azure CLI's token has no permission for PIM
        await dana.run("az login --use-device-code -o none")
        said = await dana.refused(
            "AKS_ENTRA_PERSON_CLIENT_ID= aks-entra access activate on-call --duration 30m --reason x"
        )
        assert "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup" in said
        assert "--client-id" in said

    # with a new token she gets in
    assert re.search(r"Ready|2 nodes", await dana.run(f"{anew}; {get_nodes}"))
    early = "AKS_ENTRA_GRANT_LIMIT=1 aks-entra access prove-end on-call --user dana@contoso.com"
    assert "PIM still shows the membership" in await operator.refused(early)

    # after 30 minutes it expires: her old token still works, a new one is refused, and the output says both
    sandbox.clock.advance(timedelta(minutes=31))
    if "kubectl" in get_nodes:
        assert " Ready " in await dana.run(get_nodes, signs_in=False)
    assert "forbidden" in await dana.refused(f"{anew}; {get_nodes}")
    proof = json.loads(
        await operator.run(
            "aks-entra access prove-end on-call --user dana@contoso.com --cluster shop-weu/guarded -o json"
        )
    )
    assert proof["refused"] is True
    assert "is no member any more" in proof["membership"]
    assert "shop-weu/guarded refuses a new token" in proof["clusters"][0]["proof"]
    assert any(one.startswith("dana@contoso.com signed in at ") for one in proof["tokens"])


BROWSER = """\
import html, re, sys, urllib.parse, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
asked = urllib.parse.urlsplit(sys.argv[1])
form = dict(urllib.parse.parse_qsl(asked.query)) | {"username": "dana@contoso.com"}
web = urllib.request.build_opener(Stay())
try:
    page = web.open(asked._replace(query="").geturl(), urllib.parse.urlencode(form).encode()).read().decode()
    fields = {name: html.unescape(value) for name, value in re.findall("name='([^']+)' value='([^']*)'", page)}
    urllib.request.urlopen(form["redirect_uri"], urllib.parse.urlencode(fields).encode()).read()
except urllib.error.HTTPError as error:
    urllib.request.urlopen(error.headers["Location"]).read()
"""


async def test_a_person_with_a_browser_signs_in_there(sandbox: Sandbox, tmp_path: Path) -> None:
    operator, dana = terminal_of(sandbox, tmp_path / "operator", person=False), person_of(sandbox, "dana", tmp_path)
    (dana.terminal.home / "browser.py").write_text(BROWSER)
    dana.terminal.environment["BROWSER"] = f"{sys.executable} {dana.terminal.home / 'browser.py'} %s &"
    await operator.run('aks-entra access assign on-call --to dana@contoso.com --duration 30d --reason "on call"')
    asked = await dana.run("aks-entra access activate on-call --duration 30m --reason INC-7 --login interactive")
    assert asked.startswith("PendingApproval")
    assert dana.codes == []
