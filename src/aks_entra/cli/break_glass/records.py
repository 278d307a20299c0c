"""Records of break-glass openings, as the command reads and stores them.

Prefect's server may be down on the day when break-glass is needed. The command then says so, uses the store of records
alone if AKS_ENTRA_RECORDS names one, and opens the cluster in any case.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.evidence.break_glass import OpeningRecord


async def known(cluster: ClusterId) -> OpeningRecord | None:
    """Return the record of an opening that has not ended. None if there is no record, or if no server answers."""
    found = None
    if _named():
        try:
            found = await prefect_client.opening_of(cluster)
        except Exception as error:  # noqa: BLE001 - break-glass must work without Prefect, and with a damaged record
            output.say(f"our record of {cluster} on Prefect's server cannot be read: {_words(error)}", style="warning")
            found = await _known_without_server(cluster)
    else:
        found = await _known_without_server(cluster)
    return found if found is not None and not found.ended else None


async def _known_without_server(cluster: ClusterId) -> OpeningRecord | None:
    try:
        return await prefect_client.opening_without_server(cluster)
    except Exception as error:  # noqa: BLE001 - as above
        output.say(f"our record of {cluster} in the store of records cannot be read: {_words(error)}", style="warning")
        return None


async def announce(record: OpeningRecord, *, attended: bool, close_command: str) -> bool:
    """Schedule the sweep for the end of an opening, and store its record, before the write that opens.

    Warns if one of both fails. Returns whether the record is stored, so that the sweep can close. `attended`: this
    process waits for the end. `close_command`: closes the opening.
    """
    why = "PREFECT_API_URL names no server"
    if _named():
        try:
            await prefect_client.announce_opening(record, attended=attended)
        except prefect_client.EndNotScheduled as error:
            output.say(
                f"{error.message}: its schedule closes the cluster, up to an hour after the end",
                f"  to close it yourself: {close_command}",
                style="warning",
            )
            return True
        except Exception as error:  # noqa: BLE001 - break-glass must work without Prefect
            why = f"Prefect's server: {_words(error)}"
        else:
            return True
    kept, why = await _stored_without_server(record, why)
    if kept:
        output.say(
            f"{why}: the opening is in the store of records alone, and the sweep closes the cluster once it runs again",
            f"  to close it yourself: {close_command}",
            style="warning",
        )
        return True
    output.say(
        f"this opening is not recorded ({why}): the sweep will not close it, and its tags will raise an alarm",
        f"  only this process closes it; to close it yourself: {close_command}",
        style="warning",
    )
    return False


async def store(record: OpeningRecord) -> str:
    """Store a record. Returns why it could not be stored. Empty if it was stored."""
    why = "PREFECT_API_URL names no server"
    if _named():
        try:
            await prefect_client.store_opening(record)
        except Exception as error:  # noqa: BLE001 - as above
            why = f"Prefect's server: {_words(error)}"
        else:
            return ""
    kept, why = await _stored_without_server(record, why)
    return "" if kept else why


async def _stored_without_server(record: OpeningRecord, why: str) -> tuple[bool, str]:
    """Store a record in the store of records alone. Returns whether it is stored, and why Prefect has it not."""
    try:
        return await prefect_client.store_opening_without_server(record), why
    except Exception as error:  # noqa: BLE001 - as above
        return False, f"{why}; store of records: {_words(error)}"


async def end(cluster: ClusterId, at: str, because: str) -> None:
    """End the record of an opening that is over."""
    record = await known(cluster)
    if record is not None and (why := await store(record.over(at, because))):
        output.say(
            f"the end of the opening was not recorded ({why}): the sweep will check the cluster when its time is over"
        )


async def take_back(cluster: ClusterId, before: OpeningRecord | None, at: str, because: str) -> None:
    """Restore the earlier record, or end this one, because nothing was written to the cluster."""
    if before is None:
        await end(cluster, at, because)
    else:
        await store(before)


def _named() -> bool:
    return bool(os.environ.get("PREFECT_API_URL"))


def _words(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
