"""Modules that are imported when a command first uses them, in one place.

Prefect takes two seconds of CPU to import, and reads its settings when it is imported: `--local` sets them first.
The clients of Azure, which `wiring` imports, take another half second, and the models of files a tenth.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.console as rich_console
    import rich.text as rich_text

    from aks_entra import prefect_client, wiring
    from aks_entra.fleet_file import cluster_body, cluster_file
    from aks_entra.fleet_file import model as fleet_model
    from aks_entra.fleet_file import parsing as file_parsing
else:

    class _Deferred:
        """A placeholder for a module. It imports the module when an attribute is read."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> object:
            return getattr(import_module(self._name), attribute)

    cluster_body = _Deferred("aks_entra.fleet_file.cluster_body")
    cluster_file = _Deferred("aks_entra.fleet_file.cluster_file")
    file_parsing = _Deferred("aks_entra.fleet_file.parsing")
    fleet_model = _Deferred("aks_entra.fleet_file.model")
    prefect_client = _Deferred("aks_entra.prefect_client")
    rich_console = _Deferred("rich.console")
    rich_text = _Deferred("rich.text")
    wiring = _Deferred("aks_entra.wiring")

__all__ = [
    "cluster_body",
    "cluster_file",
    "file_parsing",
    "fleet_model",
    "prefect_client",
    "rich_console",
    "rich_text",
    "wiring",
]
