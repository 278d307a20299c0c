"""`aks-entra records …`: look at the store of records, check it, export it and import it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

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
    from aks_entra.ports.records import StoredRecord

_T = TypeVar("_T")

records = typer.Typer(
    name="records",
    help="Look at the store of records, check it, export it and import it.",
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

    The exit code is 1 if a record is damaged, or if one is missing that another one rests on. Nobody can see that the
    last records were removed, unless you kept the state that an earlier check printed.
    """
    from aks_entra.adapters.records.check import check as checked  # noqa: PLC0415 - `--help` does without it

    found = _run(store, "reading the records", lambda opened, tell: checked(opened.blobs, tell))
    if format_ is output.Format.JSON:
        output.emit_json(
            {
                "records": found.records,
                "keys": found.keys,
                "last": found.last,
                "state": found.state,
                "sound": found.sound,
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
            f"state {found.state}",
        )
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
    """Add the records of a file. Each is checked first, and those that are there already are left alone."""
    with output.guarded():
        if (file is None) is not from_prefect:
            output.usage("it is not said from where, or two places are named", remedy="name a FILE or --from-prefect")
        if from_prefect and store is not None:
            output.usage("--store does not go with --from-prefect", remedy="set AKS_ENTRA_RECORDS, as for the workers")
    if file is None:
        output.run(_import_from_prefect())
        return
    from aks_entra.adapters.records.archive import bring_in  # noqa: PLC0415 - `--help` does without it

    added, known = _run(store, "importing the records", lambda opened, tell: bring_in(opened.blobs, file, tell))
    output.say(f"{added} records were added; {known} were there already", style="good")


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
    from aks_entra.adapters.records import open_store  # noqa: PLC0415 - `--help` does without it

    settings = read_settings()
    place = store if store is not None else records_place(settings, os.environ.get("PREFECT_API_URL", ""))
    async with open_store(settings.model_copy(update={"records": place})) as opened:
        yield opened
