"""Credentials that somebody found: whose they are and whether they live, without presenting them to anybody."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aks_entra.adapters.credential_file import read_credentials
from aks_entra.core.evidence.found_credentials import Kind, Life
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.planning.fleet import Selector
from aks_entra.core.verdict.report import records_of_verdict
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import dump_verdict
from aks_entra.host.private_file import PrivateFile
from aks_entra.planning.found_credentials import Answer, trace
from aks_entra.planning.selection import Selection
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.front.proxy import Exchange
from tests.contract.command_line import serving, typed
from tests.contract.one_migration import planned
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import UNLOCKED, cluster
from tests.support.executor_jobs import job_of

EVERYWHERE = Selection(selectors=(Selector(tenant=True),), fresh=False)


async def fetched(session: Session, folder: Path, name: str = "plain") -> bytes:
    """Fetch an admin kubeconfig as an administrator does, and return its text."""
    file = folder / f"{name}.kubeconfig"
    await session.ports.arm.hand_out_admin_kubeconfig(cluster(name), PrivateFile.reserve(file))
    return file.read_bytes()


def certificate_of(kubeconfig: bytes) -> bytes:
    user = YAML(typ="safe").load(kubeconfig)["users"][0]["user"]
    return base64.b64decode(user["client-certificate-data"])


def token_of(kubeconfig: bytes) -> bytes:
    return str(YAML(typ="safe").load(kubeconfig)["users"][0]["user"]["token"]).encode()


async def asked(session: Session, content: bytes, records: tuple[Record, ...] = ()) -> dict[Kind, Answer]:
    answers = await trace(session.ports, read_credentials(content, records), EVERYWHERE, records)
    return {one.found.kind: one for one in answers}


async def test_a_leaked_kubeconfig_is_alive_until_the_rotation_and_dead_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Exchange] = []
    (tmp_path / "world.yaml").write_text(UNLOCKED)
    (tmp_path / "files").mkdir()
    settings = Settings(poll_interval=0.02, look_interval=0.02, group_reads=2, group_read_gap=0, activity_log_delay=0)
    async with (
        in_environment(monkeypatch, tmp_path / "world.yaml", pace=100_000, replication=0, observe=seen.append),
        open_session(settings) as session,
    ):
        leaked = await fetched(session, tmp_path / "files")
        seen.clear()
        before = await asked(session, leaked)
        alone = await asked(session, certificate_of(leaked))
        api_server = [one for one in seen if one.host.endswith(".azmk8s.io")]
        done = await planned(session, "plain")
        verdict = await session.executor.migrate(job_of(done))
        assert verdict.outcome is Outcome.VERIFIED
        without_report = await asked(session, leaked)
        records = records_of_verdict(verdict, "report.json")
        with_report = await asked(session, leaked, records)
        lone = [*(await asked(session, certificate_of(leaked), records)).values()]
        lone += (await asked(session, token_of(leaked), records)).values()
        unknown = await asked(session, token_of(leaked))

    assert api_server == []  # nothing was presented: a handshake sends no request
    for kind in (Kind.CERTIFICATE, Kind.STATIC_TOKEN):
        assert before[kind].judgement.life is Life.ALIVE, before[kind].judgement
        posture = before[kind].posture
        assert posture is not None
        assert posture.cluster.key == cluster("plain").key
        assert before[kind].known_by == "its CA serves there now"
    assert before[Kind.CERTIFICATE].found.groups == ("system:masters",)
    assert [one.to for one in before[Kind.CERTIFICATE].fetched], "the activity log names who fetched it"
    assert alone[Kind.CERTIFICATE].known_by == "the CA that serves there now signed it"
    assert "lacks the private key" in alone[Kind.CERTIFICATE].judgement.because
    assert without_report[Kind.CERTIFICATE].judgement.life is Life.DEAD
    assert without_report[Kind.STATIC_TOKEN].judgement.life is Life.UNKNOWN  # nothing shows that it was refused
    assert {one.judgement.life for one in with_report.values()} == {Life.DEAD}
    assert "(report.json)" in with_report[Kind.CERTIFICATE].known_by
    for one in lone:  # a certificate of an earlier CA, and a token, each without anything around it
        assert one.posture is not None, one.judgement
        assert one.posture.cluster.key == cluster("plain").key
        assert one.judgement.life is Life.DEAD, one.judgement
        assert one.known_by in {"its CA signed it (report.json)", "its salted hash was kept there (report.json)"}
        assert one.served is not None
        assert (one.served.number, one.served.known, one.served.now) == (1, 2, False)
        assert one.served.until
        assert one.fetched == with_report[one.found.kind].fetched != ()
    assert unknown[Kind.STATIC_TOKEN].posture is None
    assert unknown[Kind.STATIC_TOKEN].judgement.life is Life.UNKNOWN
    assert token_of(leaked).decode() not in dump_verdict(verdict)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path_factory.mktemp("whose"), UNLOCKED)


@pytest.mark.usefixtures("quick")
def test_the_command_prints_no_secret_and_ends_with_1_while_a_credential_lives(tmp_path: Path) -> None:
    async def fetch() -> bytes:
        async with open_session(Settings()) as session:
            return await fetched(session, tmp_path)

    user = YAML(typ="safe").load(asyncio.run(fetch()))["users"][0]["user"]
    kubeconfig = tmp_path / "plain.kubeconfig"

    table = typed("whose", str(kubeconfig))
    rows = typed("whose", str(kubeconfig), "-o", "json", "--try")

    assert (table.exit_code, rows.exit_code) == (1, 1), table.output + rows.output
    assert "client certificate" in table.stdout
    assert "shop-weu/plain" in table.stdout
    found = json.loads(rows.stdout)["credentials"]
    assert {one["life"] for one in found} == {"alive"}
    assert {one["because"] for one in found} == {"the API server answered 200 when it was presented"}
    assert "presenting the client certificate once" in rows.stderr
    secrets = [str(user[name]) for name in ("token", "client-key-data") if user.get(name)]
    assert secrets
    for secret in secrets:
        assert secret not in table.output + rows.output


@pytest.mark.usefixtures("quick")
def test_each_credential_of_a_file_is_presented_to_its_own_cluster_alone(tmp_path: Path) -> None:
    async def fetch() -> list[bytes]:
        async with open_session(Settings()) as session:
            return [await fetched(session, tmp_path, name) for name in ("plain", "legacy")]

    first, second = (YAML(typ="safe").load(one) for one in asyncio.run(fetch()))
    both = {key: [*first[key], *second[key]] for key in ("clusters", "users", "contexts")}
    (tmp_path / "both").write_text(json.dumps({**first, **both}))

    ended = typed("whose", str(tmp_path / "both"), "-o", "json", "--try")

    found = {(one["name"], one["credential"]): one["because"] for one in json.loads(ended.stdout)["credentials"]}
    assert {name for name, _ in found} == {one["name"] for one in both["contexts"]}
    assert set(found.values()) == {"the API server answered 200 when it was presented"}, ended.output


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "carries no credential that is known here"),
        (b"apiVersion: v1\nusers: 3\n", "not a kubeconfig with clusters, users and contexts"),
        (b"\xff\xfe\x00", "carries no credential that is known here"),
        (b"x" * 2_000_000, "too large to be a credential"),
    ],
)
def test_a_file_that_is_no_credential_is_refused_without_quoting_it(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(content)
    ended = typed("whose", str(tmp_path / "file"))
    assert ended.exit_code == 2, ended.output
    assert words in ended.output
    assert "xxxx" not in ended.output


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = typed("whose", str(tmp_path / "nothing"))
    assert missing.exit_code == 2
    assert "No such file" in missing.output


@pytest.mark.usefixtures("quick")
def test_an_error_names_the_option_and_no_field_of_a_fleet_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef" * 8)
    ended = typed("whose", str(tmp_path / "token"), "--subscription", "no-such-one")
    assert ended.exit_code == 2
    assert "--subscription: " in ended.output
    assert "clusters[" not in ended.output
