"""`--state DIR`: after a restart the same keys, tokens, groups and clusters; and what a codec may not bring to life."""

from __future__ import annotations

import os
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from azure_sandbox.entra.tokens import ARM_AUDIENCES
from azure_sandbox.persistence import FILE, save
from azure_sandbox.server import Sandbox
from azure_sandbox.state_codec import decode, encode
from azure_sandbox.world import WorldError

AUDIENCE = "https://management.azure.com"


async def test_what_was_held_before_is_worth_the_same_after(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with Sandbox(Path("demo"), state=folder, pace="instant") as first:
        token = first.tokens.issue(first.operator.principal, audience=AUDIENCE)
        bundle = (first.folder / "ca.pem").read_bytes()
        (cluster,) = [it for it in first.arm.state.clusters.values() if it.name == "pay-01"]
        static, etag = cluster.server.generation.token, cluster.etag
        members = next(it for it in first.directory.groups() if it.display_name == "aks-admins").members
        members.discard(first.operator.principal.id)
        cluster.server.renew(first.clock.now())
        renewed = cluster.server.generation.token
    async with Sandbox(state=folder) as second:
        assert second.tokens.verify(f"Bearer {token}", ARM_AUDIENCES).oid == first.operator.principal.id
        assert (second.folder / "ca.pem").read_bytes() == bundle
        assert second.environment["AZURE_CLIENT_SECRET"] == first.operator.secret
        (again,) = [it for it in second.arm.state.clusters.values() if it.name == "pay-01"]
        assert (again.server.generation.token, again.etag) == (renewed, etag)
        assert static != renewed
        assert len(again.server.retired) == 1
        group = next(it for it in second.directory.groups() if it.display_name == "aks-admins")
        assert second.operator.principal.id not in group.members
        assert second.folder == folder / "home"
    assert (folder / "home").is_dir()
    assert os.stat(folder / FILE).st_mode & 0o777 == 0o600  # noqa: PTH116  # the mode alone


async def test_an_operation_under_way_has_failed_after_a_crash_and_ended_after_an_orderly_end(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    sandbox = Sandbox(Path("demo"), state=folder)
    (cluster,) = [it for it in sandbox.arm.state.clusters.values() if it.name == "pay-01"]
    cluster.set_state("Updating")
    save(folder, sandbox)
    crashed = Sandbox(state=folder)
    (back,) = [it for it in crashed.arm.state.clusters.values() if it.name == "pay-01"]
    assert back.state == "Failed"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(WorldError, match="--state"):
        Sandbox(state=tmp_path)
    (tmp_path / FILE).write_text('{"version": 99}')
    with pytest.raises(WorldError, match="another version"):
        Sandbox(state=tmp_path)


def test_plain_data_comes_back_as_it_was() -> None:
    now = datetime.now(UTC)
    value = {
        "a": [1, 2.5, None, True, "x", {"b"}, frozenset({"c"}), (1, "d"), b"\x00\xff", now, timedelta(seconds=5)],
        ("k", 1): deque([1, 2], maxlen=5),
        "$": "a tag is data too",
    }
    assert decode(encode(value)) == value


def test_only_classes_of_the_sandbox_are_made() -> None:
    with pytest.raises(ValueError, match="no class of the sandbox"):
        decode({"$": "os:system", "of": {}})
    with pytest.raises(TypeError, match="cannot be kept"):
        encode(object())
