"""The commands for recordings: `record` what a command says to the real Azure, and `replay` it against the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from azure_sandbox.cli.child import Child, end_with_parent
from azure_sandbox.cli.running import MISUSED, fail
from azure_sandbox.recordings.files import Unreadable, keep, read
from azure_sandbox.recordings.recorder import Recorder, missing_bundle
from azure_sandbox.recordings.replay import CannotReplay, Outcome, Replay

DEVIATIONS = 1
Exchange = dict[str, Any]


def record(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after `--`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write. It must not exist.")] = Path(
        "recording.json"
    ),
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Keep the recording without asking.")] = False,
) -> None:
    """Run COMMAND against the real Azure, and record what was said, with stand-ins for ids, names and secrets.

    The exit code is the command's.
    """
    if output.exists() or output.is_symlink():
        fail(f"{output} exists; name another file with --output", MISUSED)
    if not output.absolute().parent.is_dir():
        fail(f"{output.absolute().parent} is not a folder; name another file with --output", MISUSED)
    if missing := missing_bundle():
        fail(f"{missing}: there is no such file; name the CA bundle of your machine, or unset the variable", MISUSED)
    end_with_parent()
    code, recorder = asyncio.run(_record(command))
    for line in summary(recorder):
        typer.echo(line, err=True)
    if not recorder.exchanges:
        typer.echo(f"Nothing was recorded, so {output} was not written.", err=True)
    elif yes or _approved(recorder.exchanges, output):
        try:
            keep(output, recorder.exchanges)
        except OSError as error:
            fail(f"{output}: {error.strerror}; record again with another --output", MISUSED)
        typer.echo(f"{output} was written. Read it once more before you send it to somebody.", err=True)
    else:
        typer.echo(f"{output} was not written.", err=True)
    raise typer.Exit(code)


async def _record(command: list[str]) -> tuple[int, Recorder]:
    async with Recorder() as recorder:
        try:
            return await Child(command, recorder.environment, spare=recorder.spare).run(), recorder
        except FileNotFoundError:
            typer.echo(f"aks-entra-sandbox: {command[0]}: command not found", err=True)
            return 127, recorder
        except OSError as error:
            typer.echo(f"aks-entra-sandbox: {command[0]}: {error.strerror}", err=True)
            return 126, recorder


def summary(recorder: Recorder) -> list[str]:
    """Return the lines that say what was recorded and what was not."""
    counted = Counter(
        (urlsplit(it["url"]).netloc, it["method"], urlsplit(it["url"]).path, it["status"]) for it in recorder.exchanges
    )
    lines = [f"{len(recorder.exchanges)} exchanges were recorded, with stand-ins:"]
    lines += [
        f"  {count} x {method} https://{host}{path}: {status}"
        for (host, method, path, status), count in counted.items()
    ]
    lines += [
        f"not recorded, because it is encrypted: {n} connections to {host}" for host, n in recorder.passed.items()
    ]
    lines += [f"refused: {n} connections to {host}" for host, n in recorder.refused.items()]
    if recorder.unreadable:
        lines.append(f"not recorded, because they could not be read: {recorder.unreadable} exchanges")
    if recorder.unanswered:
        lines.append(f"not answered: {recorder.unanswered} requests")
    return lines


def _approved(exchanges: list[Exchange], output: Path) -> bool:
    """Ask whether to keep the recording, and show the whole of it if that is wanted."""
    while True:
        try:
            answer = typer.prompt(f"Keep this as {output}? [y]es, [n]o, [s]how it whole", default="n", err=True)
        except typer.Abort:  # nobody is there
            return False
        match answer.strip().lower()[:1]:
            case "y":
                return True
            case "s":
                typer.echo(json.dumps(exchanges, indent=1))
            case _:
                return False


def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings.")],
    output: Annotated[
        Literal["text", "json"], typer.Option("--output", "-o", help="Form of the result: text or json.")
    ] = "text",
) -> None:
    """Show where the sandbox's answers differ from a recording. Exit code 0: nowhere; 1: somewhere; 2: wrong usage."""
    results: dict[str, list[Exchange]] = {}
    for file in files:
        try:
            exchanges = read(file)
            outcomes = asyncio.run(Replay(exchanges).run())
        except (Unreadable, CannotReplay) as error:
            fail(f"{file}: {error}", MISUSED)
        results[str(file)] = [_shown(it) for it in outcomes]
    if output == "json":
        typer.echo(json.dumps(results, indent=2))
    else:
        for name, shown in results.items():
            _print(name, shown)
    alike = all(it["result"] in {"same", "not compared"} for shown in results.values() for it in shown)
    raise typer.Exit(0 if alike else DEVIATIONS)


def _shown(outcome: Outcome) -> Exchange:
    same = outcome.same_shape and not outcome.other
    if not outcome.compared:
        result = "not compared"
    elif not outcome.modelled:
        result = "not modelled"
    else:
        result = "same" if same else "different"
    return {
        "number": outcome.number,
        "method": outcome.method,
        "url": outcome.url,
        "result": result,
        "recordedStatus": outcome.recorded,
        "sandboxStatus": outcome.status,
        "differences": [*outcome.unlike, *outcome.other] if outcome.same_status else [],
    }


def _print(name: str, shown: list[Exchange]) -> None:
    counted = Counter(it["result"] for it in shown)
    compared = len(shown) - counted["not compared"]
    typer.echo(f"{name}: {counted['same']} of {compared} answers are as recorded", nl=False)
    typer.echo(f" ({counted['not compared']} were not compared)" if counted["not compared"] else "")
    for it in shown:
        if it["result"] in {"same", "not compared"}:
            continue
        what = "the sandbox does not model it" if it["result"] == "not modelled" else f"recorded {it['recordedStatus']}"
        typer.echo(f"  #{it['number']} {it['method']} {it['url']}: {what}, the sandbox answers {it['sandboxStatus']}")
        for difference in it["differences"]:
            side = "only recorded" if difference.startswith("-") else "only in the sandbox"
            typer.echo(f"      {side}: {difference[1:]}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("record", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(record)
    app.command("replay")(replay)
