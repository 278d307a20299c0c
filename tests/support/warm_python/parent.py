"""The warm process: it imports what Prefect's commands and flow runs import, then forks a child for each launcher.

It has one thread and no event loop, so a child is as good as a new interpreter. A child whose launcher is gone is
killed, as its launcher was.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import selectors
import signal
import socket
import sys
import tempfile
from typing import IO, Any

PREFECT = (
    *("prefect.main", "prefect.flow_engine", "prefect.task_engine", "prefect.runner._workspace_supervisor"),
    *("prefect.cli.deploy", "prefect.cli.worker", "prefect.workers.process"),
)
LIBRARY = "aks_entra"
RUNBOOKS = ("__mp_main__", "flows", "tasks")  # each run imports its own
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Import, fork, and in a child: run what it was forked for."""
    path = [*sys.path]
    for name in PREFECT:  # as in a cold flow run, Prefect comes before this program
        importlib.import_module(name)
    for module in pkgutil.walk_packages(importlib.import_module(LIBRARY).__path__, f"{LIBRARY}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    door = socket.socket(fileno=int(sys.argv[1]))
    become(Parent(door).next_request(), path)


class Parent:
    """Forks and follows children."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._learned = tempfile.TemporaryFile("ab+")  # noqa: SIM115 - open for ever
        self._read = 0
        self._living: set[int] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(door, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def next_request(self) -> dict[str, Any]:
        """Serve until stdin is closed. Returns in a child only: what it was forked for."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    raise SystemExit
                if key.fileobj is not self._door:
                    self._ended(*key.data)
                elif request := self._fork():
                    return request

    def _fork(self) -> dict[str, Any] | None:
        launcher, _ = self._door.accept()
        head, streams, _, _ = socket.recv_fds(launcher, 4, 3, socket.MSG_WAITALL)
        wanted = launcher.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        pid = os.fork()
        if pid == 0:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            others = {key.data for key in self._selector.get_map().values() if key.data}
            for connection, descriptor, _ in others:
                connection.close()
                os.close(descriptor)
            for each in (self._selector, self._door, launcher):
                each.close()
            for stream in streams:
                os.close(stream)
            atexit.register(teach, self._learned, {*sys.modules})
            request: dict[str, Any] = json.loads(wanted)
            return request
        for stream in streams:
            os.close(stream)
        self._living.add(pid)
        ended = os.pidfd_open(pid)
        for source in (launcher, ended):  # whichever ends first
            self._selector.register(source, selectors.EVENT_READ, (launcher, ended, pid))
        with contextlib.suppress(BrokenPipeError):  # the launcher is gone already: the selector tells
            launcher.sendall(pid.to_bytes(4, "big"))
        return None

    def _learn(self) -> None:
        """Import what children had to import themselves, so that the next ones find it."""
        size = os.fstat(self._learned.fileno()).st_size
        names = os.pread(self._learned.fileno(), size - self._read, self._read).decode().split()
        self._read = size
        for name in dict.fromkeys(names):
            if name not in sys.modules:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)

    def _ended(self, launcher: socket.socket, ended: int, pid: int) -> None:
        """A child ended, or its launcher: then the child is killed."""
        if pid not in self._living:  # the launcher and its child ended at once
            return
        self._living.remove(pid)
        os.kill(pid, signal.SIGKILL)  # nothing happens to one that has ended: it was not waited for yet
        _, status = os.waitpid(pid, 0)
        for source in (launcher, ended):
            self._selector.unregister(source)
        with contextlib.suppress(BrokenPipeError):
            launcher.sendall(status.to_bytes(4, "big"))
        launcher.close()
        os.close(ended)
        self._learn()


def teach(learned: IO[bytes], before: set[str]) -> None:
    """At the end of a child: which modules of libraries it imported."""
    names = [name for name in sys.modules if name not in before and name.partition(".")[0] not in RUNBOOKS]
    os.write(learned.fileno(), "".join(f"{name}\n" for name in names).encode())


def become(request: dict[str, Any], path: list[str]) -> None:
    """Be what `python argv` would be in that environment and folder. `path`: where a bare interpreter looks."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # what is left at the end goes with its parent
    os.setsid()
    os.umask(request["umask"])
    resource.setrlimit(resource.RLIMIT_CORE, request["core"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    executable, *arguments = request["argv"]
    sys.executable = executable
    sys.orig_argv = request["argv"]
    more = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    if arguments[0] == "-c":
        sys.path[:] = ["", *more, *path]
        sys.argv = ["-c", *arguments[2:]]
        run_command()
        return
    import_settings()
    if arguments[0] == "-m":
        sys.path[:] = [request["folder"], *more, *path]
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[:] = [os.path.dirname(arguments[0]), *more, *path]  # noqa: PTH120 - as CPython does it
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def run_command() -> None:
    """Run the command `aks-entra`, which reads Prefect's settings in a folder of its own."""
    from aks_entra.cli import main as aks_entra  # noqa: PLC0415 - the parent has imported it after Prefect
    from aks_entra.prefect_client import _entry  # noqa: PLC0415 - as above

    with contextlib.chdir(_entry.__file__.rpartition("/")[0]):
        import_settings()
    _entry.read_settings()
    aks_entra()


def import_settings() -> None:
    """What Prefect does when it is imported and has an environment to look at."""
    from prefect import context  # noqa: PLC0415 - not before the parent imports it
    from prefect.logging import configuration  # noqa: PLC0415 - as above

    importlib.invalidate_caches()
    context.refresh_global_settings_context()
    configuration.setup_logging(incremental=False)


if __name__ == "__main__":
    main()
