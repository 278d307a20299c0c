"""The logs of a run in Prefect: one line for each thing that happens, with the cluster and the step."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TextIO

from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect.logging.handlers import PrefectConsoleHandler

from aks_entra.core.cluster import ClusterId
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.report.run_lines import line_of_verdict
from aks_entra.text.safe import for_log


class PrefectLog:
    """The `RunLog` port: the Logs tab of the present flow run, and of the task run if there is one."""

    def __init__(self) -> None:
        leave_out_unread_console()

    def say(self, cluster: ClusterId, text: str) -> None:
        """Write a line with the level INFO."""
        task = TaskRunContext.get()
        step = f" · {task.task.name}" if task else ""
        tell(f"{cluster}{step}: {text}")


def tell_verdict(verdict: Verdict) -> None:
    """Write a verdict with its reasons and the remedy. A failed one has the level ERROR."""
    tell(line_of_verdict(verdict), level=logging.ERROR if verdict.outcome is Outcome.FAILED else logging.INFO)


def tell(text: str, *, level: int = logging.INFO) -> None:
    """Write a line to the logs of the present run. Text from strangers cannot start a second line."""
    get_run_logger().log(level, "%s", for_log(text))


def leave_out_unread_console() -> None:
    """Write no lines to a console that is /dev/null, as a run's is that a worker does not stream.

    Prefect formats and colours each line for it, which costs more than all else that a line costs.
    """
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        if isinstance(handler, PrefectConsoleHandler) and _is_null(handler.stream):
            root.removeHandler(handler)


def _is_null(stream: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), Path(os.devnull).stat())
    except (OSError, ValueError):  # it is closed, or no file
        return False
