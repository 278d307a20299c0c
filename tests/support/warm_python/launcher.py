"""What is started in place of a Python interpreter. `warm_python` writes the first line: which interpreter reads it.

It must start fast, so it imports little. It ends when the child ends, and in the same way.
"""

import array
import json
import os
import resource
import signal
import socket
import sys
from types import FrameType

PYTHON = os.path.abspath(__file__)  # noqa: PTH100 - pathlib takes long to import
HOME = os.path.dirname(os.path.dirname(PYTHON))  # noqa: PTH120 - as above
MODULES = ("prefect.engine", "prefect.runner._workspace_supervisor", "aks_entra.prefect_client")
COMMAND = ["-c", "from aks_entra.cli import main; main()"]
COLD_WORDS = {"up", "demo", "--local", "--here"}
"""Words of commands that set Prefect's settings before they import it."""
SERVER = ["-m", "aks_entra.prefect_client", "server", "start"]
AT_IMPORT = ("_LOOP_SECONDS", "_GRANULARITY", "_CACHE_TTL", "_QUEUE_SIZE", "_TEST_MODE")
"""Endings of the names of settings that Prefect's server reads when it is imported."""
HOOKS = "/prefect/runner/_workspace_runtime_bootstrap.py"
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def is_warm(arguments: list[str]) -> bool:
    """Whether the warm process has imported what this command needs."""
    if arguments == SERVER and any(name.startswith("PREFECT_") and name.endswith(AT_IMPORT) for name in os.environ):
        return False
    if arguments[:2] == COMMAND:
        return not COLD_WORDS.intersection(arguments)
    return (arguments[:1] == ["-m"] and arguments[1] in MODULES) or (bool(arguments) and arguments[0].endswith(HOOKS))


def fork(arguments: list[str]) -> socket.socket:
    """Ask the warm process for a child; returns the connection on which it tells about the child."""
    umask = os.umask(0)
    os.umask(umask)
    wanted = json.dumps(
        {
            "argv": [PYTHON, *arguments],
            "environment": dict(os.environ),
            "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes long to import
            "umask": umask,
            "core": resource.getrlimit(resource.RLIMIT_CORE),
        }
    ).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{HOME}/socket")
    streams = array.array("i", [0, 1, 2])
    connection.sendmsg([len(wanted).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(wanted)
    return connection


def follow(connection: socket.socket) -> None:
    """Pass signals on to the child; end as it ends."""
    child = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")

    def forward(number: int, _frame: FrameType | None) -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:  # it has just ended
            return

    for each in FORWARDED:
        signal.signal(each, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    status = os.waitstatus_to_exitcode(int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big"))
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    if not is_warm(sys.argv[1:]):
        os.execv(f"{HOME}/real", [PYTHON, *sys.argv[1:]])  # noqa: S606 - no shell is wanted
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    follow(fork(sys.argv[1:]))
