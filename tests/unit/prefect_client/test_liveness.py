"""Which processes this kernel can speak for: a name and a number may be another machine's, or another container's."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from aks_entra.prefect_client.liveness import Process

OWN = Process.own()


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_present_process_is_here_and_exists() -> None:
    assert Process.parse(str(OWN)) == OWN
    assert OWN.here
    assert OWN.exists
    assert OWN.boot
    assert OWN.namespace


@pytest.mark.parametrize("field", ["host", "boot", "namespace"])
def test_one_with_another_host_boot_or_namespace_is_not_here(field: str) -> None:
    """A pod on its node's network has the node's name: we may not set its runs to Crashed."""
    parts = str(OWN).split("/")
    parts[("host", "", "", "boot", "namespace").index(field)] = "another"
    another = Process.parse("/".join(parts))
    assert not another.here
    assert not replace(another, pid=gone(), started="1").here


def test_a_dead_one_of_the_same_kernel_is_here_and_does_not_exist() -> None:
    dead = replace(OWN, pid=gone(), started="1")
    assert dead.here
    assert not dead.exists
    assert not replace(OWN, pid=10**12).exists


def test_a_label_of_an_earlier_version_is_believed_only_where_its_process_is_found() -> None:
    old = Process.parse(f"{OWN.host}/{OWN.pid}/{OWN.started}")
    assert (old.boot, old.namespace) == ("", "")
    assert old.here
    assert old.exists
    assert not Process.parse(f"{OWN.host}/{gone()}/{OWN.started}").here, "it may live in another namespace"
    assert not Process.parse(f"another/{OWN.pid}/{OWN.started}").here
    assert not Process.parse(f"{OWN.host}/{OWN.pid}/").here


@pytest.mark.parametrize("text", ["", "here", "a/b/c", "a/1", "a/1/2/3", "a/1/2/3/4/5", "a/1.5/2"])
def test_what_is_no_label_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Process.parse(text)
