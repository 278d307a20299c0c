"""The page docs/reference/preflight.md: `python -m aks_entra.report.preflight_page > docs/reference/preflight.md`."""

from __future__ import annotations

import sys

from aks_entra.core.preflight import reference

if __name__ == "__main__":
    sys.stdout.write(reference())
