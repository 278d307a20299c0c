"""`python -m aks_entra.core.preflight > docs/reference/preflight.md`."""

from __future__ import annotations

import sys

from aks_entra.core.preflight.registry import reference

sys.stdout.write(reference())
