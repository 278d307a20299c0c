"""A group of commands that imports a command's module when that command is called, so that `--help` stays quick.

It also accepts the earlier spellings of options, which no help text shows, and prints a note about each on stderr.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from aks_entra.cli import output


@dataclass(frozen=True, slots=True)
class Command:
    """A command as the list of commands shows it."""

    module: str  # has `register(app)`, which adds the command
    help: str
    renamed: Mapping[str, str] = field(default_factory=dict)  # an option's earlier spelling, and the present one


class LazyGroup(TyperGroup):
    """Lists commands from a table; imports the module of the one that is called or completed."""

    table: ClassVar[Mapping[str, Command]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in self.table.items():
            self.add_command(TyperCommand(name, short_help=command.help, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return name, command and remaining arguments, as `click` wants it, with the command itself loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, None, rest
        return name, self.load(name), with_present_spellings(rest, self.table[name].renamed)

    def load(self, name: str) -> Any:
        """Import and return one command of the table. Raises KeyError if its module does not register it."""
        loaded = typer.Typer(rich_markup_mode=None)
        import_module(self.table[name].module).register(loaded)
        return typer.main.get_group(loaded).commands[name]


def with_present_spellings(words: list[str], renamed: Mapping[str, str]) -> list[str]:
    """Replace the earlier spellings of options, up to `--`, and print one note for each spelling that was replaced."""
    options = words[: words.index("--")] if "--" in words else words
    found = []
    for position, word in enumerate(options):
        option, equals, value = word.partition("=")
        if option in renamed:
            options[position] = f"{renamed[option]}{equals}{value}"
            found.append(option)
    for option in dict.fromkeys(found):
        output.say(f"note: {option} is now called {renamed[option]}", style="dim")
    return [*options, *words[len(options) :]]
