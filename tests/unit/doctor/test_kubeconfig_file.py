from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aks_entra.doctor.kubeconfig_file import Entry, default_file, merged, write
from aks_entra.errors import Refused
from tests.support.access_cases import CLUSTER

OTHERS = """\
apiVersion: v1
kind: Config
clusters: [{name: mine, cluster: {server: "https://mine"}}]
users: [{name: me, user: {token: kept}}]
contexts: [{name: mine, context: {cluster: mine, user: me}}]
current-context: mine
"""


def entry(mode: str = "interactive") -> Entry:
    return Entry(cluster=CLUSTER, server="https://a:443", ca_pem="-----BEGIN", arguments=("get-token", "--login", mode))


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def test_an_entry_holds_a_command_and_no_credential() -> None:
    (user,) = read(merged("", entry(), overwrite=False))["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["command"] == "kubelogin"


def test_other_people_s_entries_stay_and_ours_is_the_current_one() -> None:
    found = read(merged(OTHERS, entry(), overwrite=False))
    assert [one["name"] for one in found["clusters"]] == ["mine", "shop-01"]
    assert found["users"][0]["user"] == {"token": "kept"}
    assert found["current-context"] == "shop-01"


def test_a_different_entry_of_the_same_name_is_replaced_only_when_asked() -> None:
    first = merged("", entry(), overwrite=False)
    assert merged(first, entry(), overwrite=False) == first
    with pytest.raises(Refused, match="a different user") as refused:
        merged(first, entry("spn"), overwrite=False)
    assert "--overwrite-existing" in refused.value.remedy
    (user,) = read(merged(first, entry("spn"), overwrite=True))["users"]
    assert user["user"]["exec"]["args"][-1] == "spn"


@pytest.mark.parametrize("text", ["[", "a list\n- x", "- 1", "clusters: 3"])
def test_what_is_no_kubeconfig_is_not_written_over(text: str) -> None:
    with pytest.raises(Refused):
        merged(text, entry(), overwrite=True)


def test_a_file_is_its_owner_s_alone_and_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "deep" / "config", tmp_path / "link"
    write(target, entry(), overwrite=False)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.chmod(0o644)
    link.symlink_to(target)
    write(link, entry("spn"), overwrite=True)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [one.name for one in target.parent.iterdir()] == ["config"]
    with pytest.raises(Refused, match="cannot be written"):
        write(target / "below", entry(), overwrite=False)


def test_the_file_is_the_one_that_kubectl_uses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", f":{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert default_file() == tmp_path / "a"
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_file() == tmp_path / ".kube" / "config"
