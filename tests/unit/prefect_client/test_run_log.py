"""A line of a run's log is formatted for a console only if somebody can read that console."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TextIO

import pytest
from prefect.logging.handlers import PrefectConsoleHandler

from aks_entra.prefect_client.run_log import PrefectLog


@contextmanager
def console(stream: TextIO) -> Iterator[PrefectConsoleHandler]:
    handler, root = PrefectConsoleHandler(stream), logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)


def is_kept(handler: logging.Handler) -> bool:
    PrefectLog()
    return handler in logging.getLogger().handlers


def test_a_console_that_nobody_reads_gets_no_lines() -> None:
    with Path(os.devnull).open("w") as null, console(null) as handler:
        assert not is_kept(handler)


@pytest.mark.parametrize("closed", [False, True])
def test_every_other_console_keeps_its_lines(tmp_path: Path, closed: bool) -> None:
    with (tmp_path / "log").open("w") as file:
        if closed:
            file.close()
        with console(file) as handler:
            assert is_kept(handler)
    with console(StringIO()) as handler:
        assert is_kept(handler)
