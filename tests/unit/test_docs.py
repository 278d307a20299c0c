"""The documentation: its links lead somewhere, and docs/architecture.md names the rooms and layers that there are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from aks_entra.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for name in ("docs", "deployments", "bench") for page in (ROOT / name).rglob("*.md"))],
    key=lambda page: page.as_posix(),
)
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
COMMANDS: Any = typer.main.get_command(app)
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_pages_have_links_to_check() -> None:
    assert sum(len(links(page)) for page in PAGES) > len(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_file_of_the_tree_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|flows|tasks|tests|docs|demo|deployments)/[\w./-]+)`", text)

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_command_that_a_page_names_has_its_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\|", " ")
    for words in re.findall(r"(?:^ {4}|^\$ |`|-- )aks-entra ([a-z][^`\n#]*)", text, re.MULTILINE):
        command = COMMANDS
        options = {"--help", "-h"}
        for word in words.split():
            if word in getattr(command, "commands", {}):
                command = command.load(word) if hasattr(command, "load") else command.commands[word]
        options |= {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
        assert command.name != "aks-entra", words
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", words)) <= options, words


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
        waiting += [one for target in targets for one in ([target] if target.is_file() else list(target.glob("*.md")))]
        waiting = [one for one in waiting if one.suffix == ".md"]

    assert [names(page) for page in PAGES if page not in seen] == []


def test_every_room_of_the_architecture_exists_and_none_is_missing() -> None:
    rooms = re.findall(r"^\| `([\w/]+/)` \|", ARCHITECTURE, re.MULTILINE)
    library = ROOT / "src" / "aks_entra"

    assert [room for room in rooms if not (ROOT / room / "__init__.py").is_file()] == []
    assert {f"src/aks_entra/{one.parent.name}/" for one in library.glob("*/__init__.py")} <= set(rooms)


def test_the_layers_of_the_architecture_are_those_of_the_import_contracts() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = tools["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one.get("containers") == ["aks_entra"]]
    (shown,) = re.findall(r"^```text\n(.*?)^```$", ARCHITECTURE, re.DOTALL | re.MULTILINE)

    assert shown.splitlines() == layers
