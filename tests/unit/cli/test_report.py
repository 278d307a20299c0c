"""`aks-entra report --attest`: which files it signs, and what it refuses before anything is written."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner, Result

from aks_entra.cli import app
from aks_entra.documents import dump_report
from tests.support.verdict_cases import report_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "kept.json").write_text(dump_report(report_of()))
    return tmp_path


def report(folder: Path, **options: str) -> Result:
    words = [
        word
        for name, value in options.items()
        for word in (f"--{name}", value if value == "-" else f"{folder}/{value}")
    ]
    return CliRunner().invoke(app, ["report", str(folder / "kept.json"), *words], env={"COLUMNS": "220"})


def signed_file(folder: Path) -> dict[str, str]:
    """Return the name and the SHA-256 of the file that the envelope is about."""
    envelope = json.loads((folder / "out.json").read_text())
    (subject,) = json.loads(base64.b64decode(envelope["payload"]))["subject"]
    return {subject["name"]: subject["digest"]["sha256"]}


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_it_signs_the_file_that_it_writes_or_else_the_one_that_it_reads(folder: Path) -> None:
    assert report(folder, attest="out.json", key="key.pem").exit_code == 0
    assert signed_file(folder) == {"kept.json": sha256(folder / "kept.json")}
    assert report(folder, json="new.json", attest="out.json", key="key.pem").exit_code == 0
    assert signed_file(folder) == {"new.json": sha256(folder / "new.json")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attest": "out.json"}, "--attest needs --key too"),
        ({"key": "key.pem"}, "--key needs --attest too"),
        ({"attest": "out.json", "key": "key.pem", "json": "-"}, "--attest signs a file, and there is none"),
        ({"attest": "out.json", "key": "none.pem"}, "No such file"),
    ],
)
def test_half_of_the_options_or_a_missing_file_is_refused(folder: Path, options: dict[str, str], words: str) -> None:
    ended = report(folder, **options)
    assert ended.exit_code == 2, ended.output
    assert words in ended.output
    assert not (folder / "out.json").exists()


def test_a_private_key_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / "key.pem").chmod(0o640)
    ended = report(folder, json="new.json", attest="out.json", key="key.pem")
    assert ended.exit_code == 2, ended.output
    assert "other users can read this private key" in ended.output
    assert not (folder / "new.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attest": "key.pem", "key": "key.pem"}, "--attest names the same file as --key: "),
        ({"html": "key.pem", "key": "key.pem", "attest": "out.json"}, "--html names the same file as --key: "),
        ({"attest": "kept.json", "key": "key.pem"}, "--attest names the same file as the report that is read: "),
        (
            {"attest": "kept.json", "json": "kept.json", "key": "key.pem"},
            "--attest names the same file as --json: ",
        ),
        ({"csv": "kept.json"}, "--csv names the same file as the report that is read: "),
        ({"html": "a.html", "csv": "./a.html"}, "--csv names the same file as --html: "),
        ({"html": "-", "csv": "-"}, "--csv names the same file as --html: -"),
    ],
)
def test_no_file_replaces_the_private_key_the_report_or_another_one(
    folder: Path, options: dict[str, str], words: str
) -> None:
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    ended = report(folder, **options)
    assert ended.exit_code == 2, ended.output
    assert words in ended.output
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before


def test_a_key_that_cannot_sign_is_refused_before_anything_is_written(folder: Path) -> None:
    (folder / "key.pem").write_text("no key")
    ended = report(folder, json="new.json", attest="out.json", key="key.pem")
    assert ended.exit_code == 2, ended.output
    assert not (folder / "new.json").exists()


def test_an_attestation_goes_to_standard_output_and_the_report_file_may_be_written_again(folder: Path) -> None:
    ended = report(folder, json="kept.json", attest="-", key="key.pem")
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["payloadType"] == "application/vnd.in-toto+json"
