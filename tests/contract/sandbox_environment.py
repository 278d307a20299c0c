"""A running sandbox in this process, and the environment in which the SDKs find it instead of Azure."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.server import Sandbox


def forget_azure(patch: pytest.MonkeyPatch) -> None:
    """Remove the variables that lead to Azure or to a proxy."""
    for name in os.environ:
        if re.match(r"(?i)^(azure_|(https?|all|no)_proxy$)", name):
            patch.delenv(name)


@asynccontextmanager
async def in_environment(patch: pytest.MonkeyPatch, world: Path, **how: Any) -> AsyncIterator[Sandbox]:
    """Run a sandbox of a world, with its variables in the environment."""
    forget_azure(patch)
    async with Sandbox(world, **how) as sandbox:
        for name, value in sandbox.environment.items():
            patch.setenv(name, value)
        yield sandbox
