"""The main job on embedded defaults: a made-up fleet, a local Azure, Prefect's own server, and the commands of a user.

It only types command lines and compares the verdicts with those that are expected. Exit code 0: all are as expected.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BIN = Path(sys.executable).parent
STATE = ROOT / ".aks-entra" / "demo"
PACE = "150"  # a rotation of 25 minutes takes ten seconds
READY_WITHIN = 120.0  # seconds


def main() -> int:
    """Enter the sandbox, or, inside it, run the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gate", choices=["yes", "ask"], default="yes", help="yes: the demo approves its own gates")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        inside = [sys.executable, __file__, "--inside", "--gate", arguments.gate]
        sandbox = [str(BIN / "aks-entra-sandbox"), "exec", "--world", "demo", "--pace", PACE, "--", *inside]
        return subprocess.call(sandbox, cwd=ROOT)
    try:
        return _inside(ask=arguments.gate == "ask")
    except KeyboardInterrupt:
        _say("stopped; nothing is left running")
        return 130


def _inside(*, ask: bool) -> int:
    began = time.monotonic()
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    os.environ.update(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", AKS_ENTRA_HOME=str(STATE))
    # Azure's minutes are seconds here, so look more often than one would in Azure.
    os.environ.update(AKS_ENTRA_POLL_INTERVAL="0.5", AKS_ENTRA_LOOK_INTERVAL="0.5", AKS_ENTRA_REQUEST_RATE="300")
    evidence = f"--evidence {_shown(HERE / 'evidence')}"
    plan, report = _shown(STATE / "plan.json"), _shown(STATE / "report.json")
    with _prefect() as page:
        _say("Day 1: what do I have?")
        _type(f"aks-entra inventory --subscription prod-eu --read {evidence}")
        _say("Day 2: what would happen?")
        _type(f"aks-entra plan {_shown(HERE / 'fleet.yaml')} --out {plan} {evidence}")
        if ask:
            _say(f"Day 3: do it. Each stage waits for you: open {page} or type the approve command that is shown.")
            migrated = _type(f"aks-entra migrate {plan}", check=False)
        else:
            _say("Day 3: do it. The demo approves its own gates (make demo GATE=ask waits for you instead).")
            migrated = _type(f"aks-entra migrate {plan} --yes --approver demo --reason rehearsal", check=False)
        _say("Day 4: prove it.")
        page_of_evidence = _shown(STATE / "report.html")
        digest = json.loads((ROOT / plan).read_text())["digest"]
        _type(f"aks-entra report {digest} --json {report} --html {page_of_evidence}", check=False)
    wrong = list(_unexpected(ROOT / report))
    for line in wrong:
        _say(f"NOT AS EXPECTED: {line}")
    _say(f"evidence: {report} and {page_of_evidence} · Prefect's database and logs: {_shown(STATE)}")
    _say(f"{'every verdict is as expected' if not wrong else 'failed'} · {time.monotonic() - began:.0f} s")
    return 1 if wrong or migrated not in {0, 1} else 0


@contextmanager
def _prefect() -> Iterator[str]:
    """`aks-entra up` beside us, until the block ends."""
    with socket.socket() as probe:
        free = probe.connect_ex(("127.0.0.1", 4200)) != 0
        probe_any = socket.socket()
        probe_any.bind(("127.0.0.1", 0))
        port = 4200 if free else probe_any.getsockname()[1]
        probe_any.close()
    log = STATE / "up.log"
    command = ["aks-entra", "up", "--port", str(port)]
    print(f"\n$ {' '.join(command)} &", flush=True)
    with log.open("w") as out:
        up = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        page = _wait_until_ready(up, log)
        os.environ["PREFECT_API_URL"] = f"{page}/api"
        print(f"Prefect is ready: {page}", flush=True)
        yield page
    finally:
        up.send_signal(signal.SIGINT)
        try:
            up.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(up.pid, signal.SIGKILL)


def _wait_until_ready(up: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        if ready := re.search(r"Prefect is ready: (http\S+)", log.read_text()):
            return ready[1]
        if up.poll() is not None:
            break
        time.sleep(0.2)
    raise SystemExit(f"Prefect did not come up:\n{log.read_text()}")


def _type(line: str, *, check: bool = True) -> int:
    """What a user types, shown as such."""
    print(f"\n$ {line}", flush=True)
    status = subprocess.call(line.split(), cwd=ROOT)
    if check and status != 0:
        raise SystemExit(f"`{line}` ended with exit code {status}")
    return status


def _unexpected(report: Path) -> Iterator[str]:
    expected = json.loads((HERE / "expected.json").read_text())
    found = {}
    for verdict in json.loads(report.read_text())["report"]["verdicts"]:
        cluster = verdict["cluster"]
        found[f"{cluster['resource_group']}/{cluster['name']}"] = [verdict["outcome"], verdict["grade"]]
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            yield f"{name}: expected {expected.get(name)}, found {found.get(name)}"


def _say(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}# {text}{plain}", flush=True)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
