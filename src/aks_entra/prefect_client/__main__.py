"""Prefect's own command line, as `aks-entra up` starts it: `python -m aks_entra.prefect_client worker start …`.

Core dumps are off, for a worker holds the credentials of its environment. `server start` serves Prefect's own
application behind a check of the Host header, which Prefect has no setting for.
"""

from __future__ import annotations

import sys

from aks_entra.host import core_dumps


def main() -> None:
    """Run the command in the arguments."""
    core_dumps.forbid()
    if sys.argv[1:] == ["server", "start"]:
        from aks_entra.prefect_client import loopback_server  # noqa: PLC0415 - the server's libraries take long to import

        loopback_server.serve()
        return
    from prefect.cli import app  # noqa: PLC0415 - as above

    app()


if __name__ == "__main__":
    main()
