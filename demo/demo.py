"""Migrates a made-up fleet in a local Azure, with Prefect's own server and the commands of a user.

`aks-entra demo` runs it. It only types command lines and compares the verdicts with those that are expected.
Exit code 0: all are as expected. What it writes is under .aks-entra/demo of the present folder.
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

from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
STATE = Path(".aks-entra", "demo")
PACE = "150"  # a rotation of 25 minutes takes ten seconds
READY_WITHIN = 120.0  # seconds
DANA = "aks-entra-sandbox sign-in %s --as dana@contoso.onmicrosoft.com &"
"""A browser in which Dana Diaz signs in, as Python's `webbrowser` starts one."""


def main() -> int:
    """Start the sandbox, or, inside it, run the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gate", choices=["yes", "ask"], default="yes", help="yes: the demo approves its own gates")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        inside = [sys.executable, __file__, "--inside", "--gate", arguments.gate]
        sandbox = [str(BIN / "aks-entra-sandbox"), "exec", "--world", "demo", "--pace", PACE, "--", *inside]
        os.execv(sandbox[0], sandbox)  # Ctrl-C reaches the sandbox alone
    try:
        return _inside(ask=arguments.gate == "ask")
    except KeyboardInterrupt:
        _say("stopped; nothing is left running")
        return 130


def _inside(*, ask: bool) -> int:
    began = time.monotonic()
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    os.environ.update(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", AKS_ENTRA_HOME=str(STATE.absolute()))
    # Azure's minutes are seconds here, so the program reads more often than it would in Azure.
    os.environ.update(AKS_ENTRA_POLL_INTERVAL="0.5", AKS_ENTRA_LOOK_INTERVAL="0.5", AKS_ENTRA_REQUEST_RATE="300")
    fleet, evidence = _input("fleet.yaml") if ask else _signed_fleet(), f"--evidence {_input('evidence')}"
    plan, report, page_of_evidence = STATE / "plan.json", STATE / "report.json", STATE / "report.html"
    with _prefect() as page:
        _say("Day 1: what do I have?")
        _type(f"aks-entra inventory --subscription prod-eu --read {evidence}")
        _say("Day 2: what would happen?")
        _type(f"aks-entra plan {fleet} --out {plan} {evidence}")
        if ask:
            _say(f"Day 3: do it. Each stage waits for you: open {page} or type the approve command that is shown.")
            migrated = _type(f"aks-entra migrate {plan}", check=False)
        else:
            _say(
                "Day 3: do it. Dana, a person of the made-up tenant, signs for the canary. The demo approves the rest."
            )
            migrated = _migrate(plan)
        _say("Day 4: prove it.")
        digest = _digest(plan)
        _type(f"aks-entra report {digest} --json {report} --html {page_of_evidence}", check=False)
    wrong = list(_unexpected(report))
    for line in wrong:
        _say(f"NOT AS EXPECTED: {line}")
    _say(f"evidence: {report} and {page_of_evidence} · Prefect's database and logs: {STATE}")
    _say(f"{'every verdict is as expected' if not wrong else 'failed'} · {time.monotonic() - began:.0f} s")
    return 1 if wrong or migrated not in {0, 1} else 0


def _migrate(plan: Path) -> int:
    """Start the migration, let Dana sign at the canary's gate, and follow it to its end."""
    digest = _digest(plan).removeprefix("sha256:")[:12]
    started = _told(f"aks-entra migrate {plan} --no-wait")
    print(started, end="", flush=True)
    run = started.split()[-1]
    until = time.monotonic() + READY_WITHIN
    while not any(
        one["run"].startswith(run) for one in json.loads(_told("aks-entra gates -o json", quiet=True))["gates"]
    ):
        if time.monotonic() > until:
            raise SystemExit(f"run {run} did not reach the gate of the canary")
    _type(f"aks-entra approve {run} --plan {digest} --reason rehearsal", BROWSER=DANA)
    return _type(
        f"aks-entra migrate --follow {run} --yes --plan {digest} --approver demo --reason rehearsal", check=False
    )


def _digest(plan: Path) -> str:
    return str(json.loads(plan.read_text())["digest"])


def _signed_fleet() -> Path:
    """Write the fleet file of the demo with approvers for the canary. Returns where it is."""
    yaml = YAML()
    fleet = yaml.load(_input("fleet.yaml"))
    approvers = yaml.load(_input("approvers.yaml"))
    fleet["rollout"]["stages"][0]["gate_before"] = {"approval": {"approvers": approvers}}
    made = STATE / "contoso.yaml"
    yaml.dump(fleet, made)
    return made


@contextmanager
def _prefect() -> Iterator[str]:
    """Run `aks-entra up` in the background until the block ends."""
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
        up = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
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
    raise SystemExit(f"Prefect did not start:\n{log.read_text()}")


def _told(line: str, *, quiet: bool = False) -> str:
    """Run a command line, and return what it prints on stdout."""
    if not quiet:
        print(f"\n$ {line}", flush=True)
    errors = subprocess.DEVNULL if quiet else None
    done = subprocess.run(line.split(), stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"`{line}` ended with exit code {done.returncode}")
    return done.stdout


def _type(line: str, *, check: bool = True, **environment: str) -> int:
    """Print a command line as a user types it, and run it."""
    print(f"\n$ {line}", flush=True)
    status = subprocess.call(line.split(), env={**os.environ, **environment})
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


def _input(name: str) -> Path:
    """Return a file or folder of the demo by a short name. Elsewhere than in the checkout it is a copy."""
    if HERE.parent == Path.cwd():
        return Path(HERE.name, name)
    copy = STATE / name
    shutil.copytree(HERE / name, copy) if (HERE / name).is_dir() else shutil.copy(HERE / name, copy)
    return copy


if __name__ == "__main__":
    sys.exit(main())
