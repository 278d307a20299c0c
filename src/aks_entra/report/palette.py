"""The colours of pages and pictures: light, dark and printed. A test holds their contrast against WCAG 2.2 AA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LIGHT: Final[Mapping[str, str]] = {
    "ink": "#1b1f24",
    "soft": "#57606a",
    "line": "#d0d7de",
    "paper": "#ffffff",
    "tint": "#f6f8fa",
    "verified": "#116329",
    "not-verified": "#7d4e00",
    "failed": "#a40e26",
    "refused": "#a40e26",
    "skipped": "#57606a",
    "entra": "#0969da",
    "accounts": "#9a6700",
    "rotation": "#8250df",
    "gate": "#6e7781",
    "stage": "#1a7f37",
    "run": "#6e7781",
}
DARK: Final[Mapping[str, str]] = {
    "ink": "#e6edf3",
    "soft": "#9da7b1",
    "line": "#3d444d",
    "paper": "#0d1117",
    "tint": "#161b22",
    "verified": "#56d364",
    "not-verified": "#e3b341",
    "failed": "#ff7b72",
    "refused": "#ff7b72",
    "skipped": "#9da7b1",
    "entra": "#58a6ff",
    "accounts": "#d29922",
    "rotation": "#bc8cff",
    "gate": "#8b949e",
    "stage": "#3fb950",
    "run": "#8b949e",
}
PRINT: Final[Mapping[str, str]] = {
    "ink": "#000000",
    "soft": "#444444",
    "line": "#bbbbbb",
    "paper": "#ffffff",
    "tint": "#ffffff",
    "verified": "#0a4f1c",
    "not-verified": "#6b4300",
    "failed": "#8a0a1f",
    "refused": "#8a0a1f",
    "skipped": "#444444",
    "entra": "#0550ae",
    "accounts": "#7d4e00",
    "rotation": "#6639ba",
    "gate": "#57606a",
    "stage": "#116329",
    "run": "#57606a",
}
WORDS: Final = ("ink", "soft", "verified", "not-verified", "failed", "refused", "skipped")
"""What text is written in, on `paper` and on `tint`."""
SHAPES: Final = ("entra", "accounts", "rotation", "gate", "stage", "run")
"""What bars are drawn in, on `paper`."""


def css(colours: Mapping[str, str]) -> str:
    """Return the colours as declarations of custom properties: `--ink: #1b1f24; …`."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
