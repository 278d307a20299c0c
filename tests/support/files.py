"""Reads all files of folders in which other processes are at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def files_below(*roots: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file and its content. Prefect may delete files meanwhile, so missing ones are skipped."""
    for root in roots:
        for folder, _, names in os.walk(root):  # os.walk skips folders that were deleted meanwhile, and rglob does not
            for name in names:
                file = Path(folder, name)
                with suppress(FileNotFoundError):
                    if file.is_file():
                        yield file, file.read_bytes()
