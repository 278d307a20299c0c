"""A person signs an approval at Entra ID over the wire, and it is read again with Entra's published keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from aks_entra.adapters.http.network import Web
from aks_entra.adapters.identity.approvals import EntraApprovals
from aks_entra.adapters.identity.entra_keys import PublishedKeys
from aks_entra.cli.break_glass.approval import require_approval
from aks_entra.cli.break_glass.request import Request
from aks_entra.cli.signing import ToSign, sign_request
from aks_entra.cli.watching import SignIns
from aks_entra.core.durations import moment, stamp
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import Asked, Count, SignedApproval, Statement, count
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.core.storable import canonical
from aks_entra.documents import dump_signed_approval, load_signed_request
from aks_entra.errors import Refused
from aks_entra.ports.approvals import Approvals, Browser
from aks_entra.prefect_client import Gate as WaitingGate
from aks_entra.settings import Settings
from aks_entra.wiring import Session, SystemClock, open_session
from azure_sandbox.cli.browser_sign_in import sign_in_at
from azure_sandbox.server import Sandbox
from tests.contract.small_world import RICH, TENANT, WORLD, Opener, cluster
from tests.support.browser import browser_elsewhere

APP, OTHER_APP = "8d1f7c3e-5b2a-4c96-a0d4-1e9b6f3c7a25", "4b7e2d9c-1a6f-4830-9c5d-7f2e8a1b3d46"
APPROVING = "c2d9a7e1-4f38-4b6c-8e50-9a1b7d3f2c64"
_CLIENT = "publicClient: true, redirectUris: ['http://localhost'], delegatedPermissions: [openid, profile]"
SIGNING = (
    WORLD.replace("users:\n", "users:\n  - {name: erin, upn: erin@contoso.com}\n  - {name: mallory, upn: m@c.com}\n")
    .replace(
        "servicePrincipals:\n",
        "servicePrincipals:\n"
        f"  - {{name: approvals, appId: {APP}, {_CLIENT}, groupMembershipClaims: SecurityGroup}}\n"
        f"  - {{name: other, appId: {OTHER_APP}, {_CLIENT}, groupMembershipClaims: SecurityGroup}}\n",
    )
    .replace("groups:\n", f"groups:\n  - {{name: approving, id: {APPROVING}, members: [dana, erin]}}\n")
)
CROWDED = SIGNING.replace(
    "groups:\n", "groups:\n" + "".join(f"  - {{name: g{n}, members: [dana]}}\n" for n in range(201))
)
signing = pytest.mark.parametrize("box", [{"world": SIGNING}], indirect=True)
GATE = Gate(approvers=Approvers(tenant_id=TENANT, client_id=APP, groups=(APPROVING,)))
ASKED = Asked(plan="sha256:0123", facts="sha256:fedc", stage="canary", side="before", run="run-1")
AsUser = Callable[[str], Browser]


def statement(**other: Any) -> Statement:
    said = {"decision": "approve", "reason": "CHG-1", "ticket": "", "at": stamp(SystemClock().now())}
    place = {"plan": ASKED.plan, "facts": ASKED.facts, "stage": "canary", "side": "before", "run": "run-1"}
    return Statement(**place | said | other)


@pytest.fixture
def as_user(box: Sandbox) -> AsUser:
    """Return a function that gives the browser of a user on another machine: the address is pasted."""
    return partial(browser_elsewhere, box.environment)


def approvals(session: Session) -> Approvals:
    assert session.ports.approvals is not None
    return session.ports.approvals


async def counted(session: Session, *signed: SignedApproval, gate: Gate = GATE, asked: Asked = ASKED) -> Count:
    assert gate.approvers is not None
    read = await approvals(session).read(signed, gate.approvers)
    return count(gate, asked, read, at=[SystemClock().now()])


async def signed_by(session: Session, browser: Browser, one: Statement, gate: Gate = GATE) -> SignedApproval:
    assert gate.approvers is not None
    return (await approvals(session).sign_in(one, gate.approvers, browser)).sign(one)


@signing
async def test_a_person_signs_and_the_signature_counts(opened: Opener, as_user: AsUser) -> None:
    async with opened() as session:
        assert GATE.approvers is not None
        later = statement(stage="prod")
        key = await approvals(session).sign_in(statement(), GATE.approvers, as_user("dana"))
        one, two = key.sign(statement()), key.sign(later)
        found = await counted(session, one)
        assert (found.missing, found.refused) == ("", ())
        assert found.people[0].name == "dana@contoso.com"
        assert (await counted(session, two, asked=replace(ASKED, stage="prod"))).missing == ""
        assert set(json.loads(one.commitment.key)) == {"kty", "crv", "x", "y"}  # no private part is stored
        assert json.loads(one.entra_key)["kid"] == jwt.get_unverified_header(one.id_token)["kid"]
        both = replace(GATE, approvers=replace(GATE.approvers, at_least=2))
        assert (await counted(session, one, one, gate=both)).missing == "1 of 2 signed approvals"
        erin = await signed_by(session, as_user("erin"), statement())
        assert (await counted(session, one, erin, gate=both)).missing == ""


@signing
async def test_one_sign_in_signs_the_gates_of_its_time_and_no_later_one(opened: Opener, as_user: AsUser) -> None:
    async with opened() as session:
        assert GATE.approvers is not None
        began = SystemClock().now()
        until = began + timedelta(hours=8)
        key = await approvals(session).sign_in(statement(), GATE.approvers, as_user("dana"), until=until)
        assert key.until == moment(stamp(until))
        for hours, because in ((7, ""), (9, f"its key signs until {stamp(until)}, and not at ")):
            at = began + timedelta(hours=hours)
            later = key.sign(statement(stage="prod", run="run-2", at=stamp(at)))
            read = await approvals(session).read([later], GATE.approvers)
            found = count(GATE, replace(ASKED, stage="prod", run="run-2"), read, at=[at])
            assert bool(found.people) is (not because)
            assert because in "".join(found.refused)
        other = ec.generate_private_key(ec.SECP256R1())
        one = key.sign(statement())
        mine = jwt.api_jws.encode(one.statement.text.encode(), other, algorithm="ES256")
        assert "a signature does not hold" in (await counted(session, replace(one, signature=mine))).refused[0]
        longer = replace(one.commitment, until=stamp(until + timedelta(hours=1)))
        assert "its nonce is another one" in (await counted(session, replace(one, commitment=longer))).refused[0]


@signing
async def test_a_browser_on_this_machine_brings_the_answer_to_a_loopback_address(opened: Opener, box: Sandbox) -> None:
    port = int(box.environment["HTTPS_PROXY"].rpartition(":")[2])
    async with opened() as session:
        told: list[str] = []
        browser = Browser(tell=told.append, open=lambda url: sign_in_at(url, "dana", port))
        assert (await counted(session, await signed_by(session, browser, statement()))).missing == ""
        asked = parse_qs(urlsplit(told[0].rpartition(" ")[2]).query)
        assert (asked["scope"], asked["code_challenge_method"]) == (["openid profile"], ["S256"])


@signing
async def test_what_was_not_signed_so_is_refused(opened: Opener, as_user: AsUser) -> None:
    async with opened() as session:
        one = await signed_by(session, as_user("dana"), statement())
        key = ec.generate_private_key(ec.SECP256R1())
        mine = canonical(ECAlgorithm.to_jwk(key.public_key(), as_dict=True))
        forged_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        claims = jwt.decode(one.id_token, options={"verify_signature": False})
        kid = jwt.get_unverified_header(one.id_token)["kid"]
        made_up = {**RSAAlgorithm.to_jwk(forged_key.public_key(), as_dict=True), "kid": "mine"}
        forged = {
            name: jwt.encode(claims, forged_key, algorithm="RS256", headers={"kid": name}) for name in ("mine", kid)
        }
        altered = replace(one.statement, reason="CHG-2")
        bad = {
            "another text was signed": replace(one, statement=altered),
            "Signature verification failed": replace(one, commitment=replace(one.commitment, key=mine)),
            "its nonce is another one": replace(
                one,
                statement=altered,
                commitment=replace(one.commitment, key=mine),
                signature=jwt.api_jws.encode(altered.text.encode(), key, algorithm="ES256"),
            ),
            "does not publish the key": replace(one, id_token=forged["mine"], entra_key=canonical(made_up)),
            "a signature does not hold: Signature": replace(one, id_token=forged[kid]),
            "Not enough segments": replace(one, id_token="no token"),
            "a key or a token of it is damaged": replace(one, commitment=replace(one.commitment, key="[]")),
        }
        for words, document in bad.items():
            found = await counted(session, document)
            assert found.people == ()
            assert words in found.refused[0]
        kept = replace(one, entra_key="{}")
        assert "does not publish the key" in (await counted(session, kept)).refused[0]


@signing
async def test_a_file_of_entras_keys_is_trusted_alone_and_a_key_that_is_not_in_it_is_refused(
    opened: Opener, as_user: AsUser, box: Sandbox, tmp_path: Path
) -> None:
    async with opened() as session:
        one = await signed_by(session, as_user("dana"), statement())
    file = tmp_path / "keys.json"
    published = box.tokens.keys()
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made_up = {**RSAAlgorithm.to_jwk(other.public_key(), as_dict=True), "kid": published["keys"][0]["kid"]}
    async with open_session(Settings(entra_keys=str(file))) as session:
        with pytest.raises(Refused, match=r"AKS_ENTRA_ENTRA_KEYS=.*keys\.json: the file cannot be read"):
            await counted(session, one)
        file.write_text(json.dumps(published))
        assert (await counted(session, one)).missing == ""
        assert (await counted(session, await signed_by(session, as_user("erin"), statement()))).missing == ""
        for keys in ([made_up], [{**made_up, "kid": "mine"}], [{**published["keys"][0], "issuer": f"https://h/{APP}"}]):
            file.write_text(json.dumps({"keys": keys}))
            found = await counted(session, one)
            assert found.people == ()
            assert f"is not in {file}, which AKS_ENTRA_ENTRA_KEYS names" in found.refused[0]
            url = f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"
            assert f"curl --fail --output {file} {url}" in found.refused[0]


@signing
async def test_a_key_that_entra_publishes_later_is_found_and_one_that_it_withdrew_stops_counting(
    opened: Opener, as_user: AsUser, box: Sandbox
) -> None:
    minutes = 0
    web = Web(connect=10, read=30)

    def use(key: rsa.RSAPrivateKey, key_id: str) -> None:
        box.tokens.use(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), key_id)

    def now() -> datetime:
        return moment("2026-11-28T08:00:00Z") + timedelta(minutes=minutes)

    async with opened() as one:
        keys = EntraApprovals(PublishedKeys(web, now), one.ports.directory)
        session = replace(one, ports=replace(one.ports, approvals=keys))
        earlier = await signed_by(session, as_user("dana"), statement())
        assert (await counted(session, earlier)).missing == ""
        new = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        use(new, "new")
        minutes = 5
        signed_with_new = await signed_by(session, as_user("dana"), statement())
        assert json.loads(signed_with_new.entra_key)["kid"] == "new"
        assert (await counted(session, signed_with_new)).missing == ""
        assert "does not publish the key" in (await counted(session, earlier)).refused[0]
        use(rsa.generate_private_key(public_exponent=65537, key_size=2048), "newer")
        assert (await counted(session, replace(earlier, id_token="no token"), signed_with_new)).missing == ""
        minutes = 9  # an unknown key id does not cost a request each time: the keys of minute 5 still count
        assert (await counted(session, earlier, signed_with_new)).missing == ""
        minutes = 64
        assert (await counted(session, signed_with_new)).missing == ""
        minutes = 65  # and what is kept is never older than an hour
        assert "does not publish the key" in (await counted(session, signed_with_new)).refused[0]
    await web.close()


@signing
async def test_a_sign_in_elsewhere_or_by_somebody_else_is_refused(opened: Opener, as_user: AsUser) -> None:
    other = replace(GATE, approvers=Approvers(tenant_id=TENANT, client_id=OTHER_APP, groups=(APPROVING,)))
    async with opened() as session:
        wrong_app = await signed_by(session, as_user("dana"), statement(), other)
        assert "the sign-in is for application" in (await counted(session, wrong_app)).refused[0]
        mallory = await signed_by(session, as_user("mallory"), statement())
        assert "in no group of the approvers" in (await counted(session, mallory)).refused[0]
        late = await signed_by(session, as_user("dana"), statement())
        day = [moment(late.statement.at).replace(year=2030)]
        assert GATE.approvers is not None
        read = await approvals(session).read([late], GATE.approvers)
        assert "an approval is valid for 1d" in count(GATE, ASKED, read, at=day).refused[0]


@signing
async def test_after_a_sign_in_with_the_wrong_account_a_watch_asks_for_another_one(
    opened: Opener, as_user: AsUser
) -> None:
    wrong = as_user("mallory")
    assert wrong.pasted is not None
    people = iter([wrong.pasted, wrong.pasted])

    def pasted() -> str:
        return next(people)()

    browser = replace(wrong, pasted=pasted)
    waits = WaitingGate(run=UUID(int=1), run_name="able-fox", plan=ASKED.plan, stage=0, moment="before")
    assert GATE.approvers is not None
    request = SignedRequest(subject="access request", text="{}", approvers=GATE.approvers)
    one = ToSign(gate=waits, asked=ASKED, conditions=GATE, approvers=GATE.approvers, about=request)
    async with opened():
        sign_ins = SignIns(SystemClock().now() + timedelta(hours=8), browser)
        for _ in range(2):
            with pytest.raises(Refused, match=r"would not count: m@c\.com .* in no group of the approvers"):
                await sign_ins.sign(one, "CHG-1", "")
    assert next(people, None) is None  # both were asked to sign in: the first key is not kept


@signing
async def test_entras_refusal_is_shown_in_its_words(opened: Opener, as_user: AsUser) -> None:
    unknown = replace(GATE, approvers=Approvers(tenant_id=TENANT, client_id=TENANT, groups=(APPROVING,)))
    async with opened() as session:
        browser = replace(as_user("dana"), pasted=lambda: "http://localhost/?error=access_denied&state=other")
        with pytest.raises(Refused, match="belongs to another sign-in"):
            await signed_by(session, browser, statement())
        with pytest.raises(Refused, match="not the address at which the browser ended"):
            await signed_by(session, replace(browser, pasted=lambda: "what?"), statement())
        told: list[str] = []

        def denied() -> str:
            state = parse_qs(urlsplit(told[0].rpartition(" ")[2]).query)["state"][0]
            said = "AADSTS65004%3A+the+user+canceled.+Trace+ID%3A+1"
            return f"http://localhost/?error=access_denied&error_description={said}&state={state}"

        with pytest.raises(Refused, match=r"did not sign the person in: AADSTS65004: the user canceled\. ") as refused:
            await signed_by(session, Browser(tell=told.append, open=print, pasted=denied), statement())
        assert refused.value.code == "AADSTS65004"
        with pytest.raises(Exception, match="AADSTS700016"):
            await signed_by(session, as_user("dana"), statement(), unknown)


@pytest.mark.parametrize("box", [{"world": CROWDED}], indirect=True)
async def test_graph_is_asked_about_a_person_with_too_many_groups(opened: Opener, as_user: AsUser) -> None:
    async with opened() as session:
        assert (await counted(session, await signed_by(session, as_user("dana"), statement()))).missing == ""
        elsewhere = replace(GATE, approvers=Approvers(tenant_id=TENANT, client_id=APP, groups=(APPROVING[:-1] + "5",)))
        found = await counted(session, await signed_by(session, as_user("dana"), statement()), gate=elsewhere)
        assert "group" in found.refused[0]


@signing
async def test_break_glass_needs_the_approval_of_exactly_this_opening(
    opened: Opener, as_user: AsUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = cluster("plain")
    asked = Request(
        cluster=str(one),
        subscription=None,
        lasting=timedelta(hours=1),
        reason="INC-77",
        ticket="",
        file=None,
        fleet=None,
        wait=False,
    )
    async with opened() as session:
        assert await require_approval(session, one, asked) == ""  # this machine names no approvers
        guarded = replace(session, settings=Settings(access_approvers=f"{TENANT}/{APP}/{APPROVING}"))
        with pytest.raises(Refused, match=r"has to be approved: .* The request is in plain\.request\.json"):
            await require_approval(guarded, one, asked)
        request = load_signed_request((tmp_path / "plain.request.json").read_text())
        assert {"duration: 1h", "reason: INC-77"} < set(request.lines)
        with pytest.raises(Refused, match=r"would not count: m@c\.com .* in no group of the approvers"):
            await sign_request(approvals(session), request, "go", "", as_user("mallory"))
        signed, who = await sign_request(approvals(session), request, "go", "", as_user("dana"))
        assert who.name == "dana@contoso.com"
        file = tmp_path / "plain.approval.json"
        file.write_text(dump_signed_approval(signed))
        asked = replace(asked, approval=file)
        assert "dana@contoso.com" in await require_approval(guarded, one, asked)
        others = (
            (one, replace(asked, lasting=timedelta(hours=2))),
            (one, replace(asked, reason="INC-78")),
            (cluster("guarded"), asked),
        )
        for place, other in others:
            with pytest.raises(Refused, match=r"was not approved: 0 of 1 signed approvals.*another question: plan"):
                await require_approval(guarded, place, other)
        stage = await signed_by(session, as_user("dana"), statement(plan=request.digest, facts="", stage="break-glass"))
        file.write_text(dump_signed_approval(stage))
        with pytest.raises(Refused, match="subject stage, not break-glass"):
            await require_approval(guarded, one, asked)
        with pytest.raises(Refused, match="cannot be read"):
            await require_approval(guarded, one, replace(asked, approval=tmp_path / "nothing.json"))


@pytest.mark.parametrize("box", [{"world": RICH}], indirect=True)
async def test_the_application_is_made_once_and_one_that_exists_is_shown_with_its_owners(
    opened: Opener, as_user: AsUser, box: Sandbox
) -> None:
    async with opened() as session:
        port = session.access.applications
        assert port is not None
        assert await port.found() == ()
        client_id = await port.make("approvals")
        (found,) = await port.found()
        assert (found.client_id, found.name) == (client_id, "approvals")
        made = box.directory.application(client_id)
        assert made is not None
        made.delegated = frozenset({"openid", "profile"})  # somebody consented
        group = await session.ports.directory.principal("aks-admins")
        gate = replace(GATE, approvers=Approvers(tenant_id=TENANT, client_id=client_id, groups=(group.id,)))
        one = await signed_by(session, as_user("dana"), statement(), gate)
        assert (await counted(session, one, gate=gate)).missing == ""  # its tokens name groups


@signing
async def test_who_may_not_register_applications_is_told_what_is_missing(opened: Opener) -> None:
    async with opened() as session:
        port = session.access.applications
        assert port is not None
        with pytest.raises(Refused, match="register the application") as refused:
            await port.make("approvals")
        assert "Application.ReadWrite.All" in refused.value.remedy
