"""`aks-entra records …`: look at the store of records, check it, export it, import it, and remove what is old."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.plan_input import read_settings
from aks_entra.core.durations import stamp
from aks_entra.documents import unpack
from aks_entra.host.server_auth import records_place
from aks_entra.report.terminal import table

if TYPE_CHECKING:
    from aks_entra.adapters.records import Records
    from aks_entra.adapters.records.check import Checked
    from aks_entra.adapters.records.prune import Pruned, Pruning
    from aks_entra.ports.records import StoredRecord

    Groups: TypeAlias = tuple[tuple[StoredRecord, ...], ...]

_T = TypeVar("_T")

records = typer.Typer(
    name="records",
    help="Look at the store of records, check it, export it, import it, and remove what is old.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        help="A folder, or az://ACCOUNT/CONTAINER[/PREFIX]. Default: $AKS_ENTRA_RECORDS, or the folder of `up`.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(records)


@records.command()
def check(*, store: Store = None, format_: output.Output = output.Format.TABLE) -> None:
    """Read every record, and say what is damaged or missing.

    The exit code is 1 if there is no record at all, if one is damaged, or if one is missing that another one rests on
    and `records prune` did not remove. Nobody can see that the last records were removed, unless you kept the state of
    an earlier check.
    """
    from aks_entra.adapters.records.check import check as checked  # noqa: PLC0415 - `--help` does without it

    async def look(opened: Records, tell: Callable[[str], None]) -> tuple[Checked, str]:
        return await checked(opened.blobs, tell), opened.blobs.where

    found, where = _run(store, "reading the records", look)
    if format_ is output.Format.JSON:
        output.emit_json(
            {
                "records": found.records,
                "keys": found.keys,
                "last": found.last,
                "state": found.state,
                "sound": found.sound,
                "pruned": found.pruned,
                "prunings": [{"key": key, **asdict(one)} for key, one in found.prunings.items()],
                "problems": [{"kind": one.kind, "what": one.what, "because": one.because} for one in found.problems],
            }
        )
    else:
        if found.problems:
            output.emit(
                table(("PROBLEM", "RECORD", "BECAUSE"), [(one.kind, one.what, one.because) for one in found.problems])
            )
        output.emit_lines(
            f"{found.records} records under {found.keys} keys; no other record rests on {found.last} of them",
            *(_pruning_line(one) for one in found.prunings.values()),
            f"state {found.state}",
        )
    if not found.records:
        output.say(f"no record is in {where}", "  → see whether records are kept there: set --store", style="error")
        raise typer.Exit(output.ExitCode.FAILED)
    if not found.sound:
        output.say("bring back what is missing from an export: `aks-entra records import FILE`", style="error")
        raise typer.Exit(output.ExitCode.FAILED)


@records.command("list")
def list_(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="The beginning of a key, such as verdict-.")] = "",
    *,
    store: Store = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """List the newest record of each key."""
    found = _run(store, "reading the records", lambda opened, _: opened.newest_under(prefix))
    if format_ is output.Format.JSON:
        output.emit_json([_row(one) for one in found])
    elif found:
        output.emit(
            table(
                ("KEY", "KIND", "STORED", "DIGEST"),
                [(one.key, one.kind, stamp(one.at), one.digest[:19]) for one in found],
            )
        )
    else:
        output.say("no key begins with that" if prefix else "the store is empty")


@records.command()
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key, as `records list` prints it.", show_default=False)],
    *,
    digest: Annotated[
        str,
        typer.Option("--digest", metavar="DIGEST", help="An older record of the key. Default: the newest one."),
    ] = "",
    store: Store = None,
) -> None:
    """Print what a record says, and on stderr who stored it when, and what it rests on."""
    found = _run(store, "reading the record", lambda opened, _: opened.versions(key))
    chosen = [one for one in found if one.digest.removeprefix("sha256:").startswith(digest.removeprefix("sha256:"))]
    if not chosen:
        output.usage(f"there is no record {key} {digest}".rstrip(), remedy="see `aks-entra records list`")
    one = chosen[0]
    output.say(
        f"{one.digest}, stored {stamp(one.at)}" + (f" by flow run {one.flow_run}" if one.flow_run else ""),
        f"one of {len(found)} under this key; rests on {len(one.before)} others",
    )
    with output.guarded():
        output.emit_text(unpack(one.packed))


@records.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new tar.gz.", show_default=False)],
    *,
    store: Store = None,
) -> None:
    """Write every record to one file. The same records make the same file."""
    from aks_entra.adapters.records.archive import export as exported  # noqa: PLC0415 - `--help` does without it

    count = _run(store, "exporting the records", lambda opened, tell: exported(opened.blobs, file, tell))
    output.say(f"{count} records are in {file}", style="good")


@records.command("import")
def import_(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="What `records export` wrote.", show_default=False)
    ] = None,
    *,
    from_prefect: Annotated[
        bool, typer.Option("--from-prefect", help="Copy what only Prefect's server has, while no run works.")
    ] = False,
    store: Store = None,
) -> None:
    """Add the records of a file. Each is checked first. One that is there already stays, unless it is damaged."""
    with output.guarded():
        if (file is None) is not from_prefect:
            output.usage("it is not said from where, or two places are named", remedy="name a FILE or --from-prefect")
        if from_prefect and store is not None:
            output.usage("--store does not go with --from-prefect", remedy="set AKS_ENTRA_RECORDS, as for the workers")
    if file is None:
        output.run(_import_from_prefect())
        return
    from aks_entra.adapters.records.archive import bring_in  # noqa: PLC0415 - `--help` does without it

    done = _run(store, "importing the records", lambda opened, tell: bring_in(opened.blobs, file, tell))
    replaced = f"; {done.replaced} were damaged and were replaced" if done.replaced else ""
    output.say(f"{done.added} records were added; {done.known} were there already{replaced}", style="good")


@records.command()
def prune(
    *,
    before: Annotated[
        datetime,
        typer.Option(
            "--before",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Remove records from before this day (UTC), such as 2025-11-28.",
            show_default=False,
        ),
    ],
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="FILE", help="A new tar.gz. It gets every record first.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="NAME", callback=output.typed, help="Who does it. Default: your user.", show_default=False
        ),
    ] = None,
    store: Store = None,
) -> None:
    """Remove old records of work that is over, after an archive of the whole store was written.

    Reports, baselines and the last plan of each fleet stay, and so does what is open, or what a record from after the
    date rests on. A record says what was removed, so that `records check` does not miss it. The exit code is 1 if a
    record could not be removed, for example because an immutability policy keeps it.
    """
    older_than = before.replace(tzinfo=UTC)
    with output.guarded():
        if archive is None and not dry_run:
            output.usage("--archive is missing", remedy="name a new file, or add --dry-run")
        if older_than > datetime.now(UTC):
            output.usage("--before is in the future", remedy="name a day that is over")
    from aks_entra.adapters.records import prune as pruning  # noqa: PLC0415 - `--help` does without it

    async def work(opened: Records, tell: Callable[[str], None]) -> tuple[int, Groups, Pruned | None]:
        found = await pruning.read_all(opened, tell)
        groups = prefect_client.prunable(found, older_than)
        if archive is None or dry_run or not groups:
            return len(found), groups, None
        said = pruning.Pruning(older_than=stamp(older_than), by=by or _user(), archive="", records=(), done=False)
        return len(found), groups, await pruning.prune(opened, groups, said, archive, tell)

    count, groups, done = _run(store, "looking for old records", work)
    if done is None:
        _list_prunable(groups, count)
        return
    say_pruned(done, count, archive)


def say_pruned(done: Pruned, count: int, archive: Path | None) -> None:
    """Say what was removed and what could not be. Raises Exit if something could not be."""
    for one, error, more in done.left:
        others = f"; {more} more of the same work stay with it" if more else ""
        output.say(f"{one.key} of {stamp(one.at)} is left: {error.message}{others}", f"  → {error.remedy}")
    output.say(f"{done.removed} of {count} records were removed; all of them are in {archive}")
    if done.left:
        output.say("run the command again later, with another --archive: it removes what is left", style="error")
        raise typer.Exit(output.ExitCode.FAILED)


def _list_prunable(groups: Groups, count: int) -> None:
    if groups:
        rows = [(one[0].key, str(len(one)), stamp(max(each.at for each in one))) for one in groups]
        output.emit(table(("KEY", "RECORDS", "NEWEST"), rows))
    old = sum(map(len, groups))
    output.say(f"{old} of {count} records would be removed" if old else f"none of {count} records can be removed")


def _pruning_line(one: Pruning) -> str:
    removed = f"{len(one.records)} records from before {one.older_than}"
    how = f"were removed by {one.by}" if one.done else f"were to be removed by {one.by}, which did not end"
    return f"{removed} {how}, a claim; archive {one.archive}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "an unknown user"


async def _import_from_prefect() -> None:
    await prefect_client.require_server()
    copied = await prefect_client.import_from_prefect()
    output.say(f"{copied} records were added; from now on the store alone is read", style="good")


def _row(one: StoredRecord) -> dict[str, Any]:
    return {
        "key": one.key,
        "kind": one.kind,
        "at": stamp(one.at),
        "digest": one.digest,
        "before": list(one.before),
        "flow_run": str(one.flow_run) if one.flow_run else None,
    }


def _run(store: str | None, doing: str, work: Callable[[Records, Callable[[str], None]], Awaitable[_T]]) -> _T:
    async def with_store() -> _T:
        with output.progress(doing) as tell:
            async with _opened(store) as opened:
                return await work(opened, tell)

    return output.run(with_store())


@asynccontextmanager
async def _opened(store: str | None) -> AsyncIterator[Records]:
    from aks_entra.adapters.records import open_store, place_of  # noqa: PLC0415 - `--help` does without it

    if store:
        place_of(store, "--store")  # refuses what names no place
    settings = read_settings()
    place = store if store is not None else records_place(settings, os.environ.get("PREFECT_API_URL", ""))
    async with open_store(settings.model_copy(update={"records": place})) as opened:
        yield opened
