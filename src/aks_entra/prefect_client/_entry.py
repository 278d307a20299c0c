"""How Prefect's settings enter this process. Imported before anything else of prefect in this package.

Prefect believes `.env`, `prefect.toml` and `pyproject.toml` of the present folder, which may be anybody's: a command is
typed in any folder. They are not read here: Prefect is imported while this package's own folder is the present one.
Environment and profile are read as ever.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from aks_entra.host.server_auth import stored_string

_CLIENT_STRING: Final = "PREFECT_API_AUTH_STRING"


def enter() -> None:
    """Load Prefect's settings, and with them the API authentication string of a server that this user's `up` started.

    Does nothing when Prefect was imported before, as it is in a flow run.
    """
    if "prefect.context" not in sys.modules:
        read_settings()


def read_settings() -> None:
    """Read Prefect's settings from environment and profile, and the string of such a server if none is set."""
    with _in_folder_without_settings():
        from prefect import context  # noqa: PLC0415 - the point of this function is when it is imported

        api = context.get_settings_context().settings.api
        if api.url is None or api.auth_string is not None:
            return
    if string := stored_string(api.url):  # relative to where the command was typed
        os.environ[_CLIENT_STRING] = string
        try:
            with _in_folder_without_settings():
                context.refresh_global_settings_context()
        finally:
            del os.environ[_CLIENT_STRING]  # programs that this one starts need not have it


def _in_folder_without_settings() -> contextlib.AbstractContextManager[None]:
    return contextlib.chdir(Path(__file__).parent)


enter()
