"""The page docs/reference/doors.md: `python -m aks_entra.report.doors_page > docs/reference/doors.md`."""

from __future__ import annotations

import sys
from typing import Final

from aks_entra.core.doors.registry import KINDS

_INTRODUCTION: Final = """\
# Doors: the other ways into a cluster

Made from the kinds themselves: `make docs` (`python -m aks_entra.report.doors_page`). Do not edit.

A door is a way into a cluster other than a sign-in with Microsoft Entra ID. How to look at doors and ask for closed
ones: [doors](../how-to/doors.md). The id is what `target.doors` of a [fleet file](fleet-file.md) and reports use.

| id | door | who can get in |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    return _INTRODUCTION + "".join(f"| `{kind.id}` | {kind.title} | {kind.says} |\n" for kind in KINDS)


if __name__ == "__main__":
    sys.stdout.write(page())
