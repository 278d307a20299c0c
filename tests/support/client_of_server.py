"""Makes this process a client of a Prefect server that a test started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

if TYPE_CHECKING:
    from pathlib import Path


@contextmanager
def client_of(api: str, auth: str | None, home: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Use the server at `api`, with these environment variables, inside the block."""
    settings = {PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: auth, PREFECT_HOME: home}
    if certificates := environment.get("PREFECT_API_SSL_CERT_FILE"):
        settings[PREFECT_API_SSL_CERT_FILE] = certificates
    with pytest.MonkeyPatch.context() as patch, temporary_settings(settings):
        for name, value in environment.items():
            patch.setenv(name, value)
        yield
