"""Reads YAML into plain values and records the line of each field, so that an error can say where to look.

Reads the file as YAML 1.2, whatever version it declares: `off`, `on`, `yes` and `no` stay words. It collects all
problems, not only the first. It knows nothing about fleets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aks_entra.core.storable import storable

Path: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"

MAX_NODES: Final = 200_000  # aliases counted each time that they are used
MAX_DEPTH: Final = 40
_CORE_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge", "timestamp")
)
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}$")
_FLOAT: Final = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a file: its line (from 1), its field, what is wrong and what to write instead."""

    line: int
    where: str
    message: str
    remedy: str


@dataclass(slots=True, kw_only=True)
class Document:
    """The value of a file, the line of each path, and the problems of the YAML itself."""

    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    readable: bool = True  # False: only the problems count, not the value
    nodes: int = 0

    def line(self, path: Path) -> int:
        """Return the line of a path, or of the nearest path around it that the file contains."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def report(self, path: Path, line: int, message: str, remedy: str) -> None:
        """Add a problem once. A problem inside an anchor is found at each use of the anchor."""
        known = any((problem.line, problem.message) == (line, message) for problem in self.problems)
        if not known:
            self.problems.append(Problem(line=line, where=dotted(path), message=message, remedy=remedy))


def dotted(path: Path) -> str:
    """Return a path as people write it, such as `target.admin_groups[1].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def path_of(text: str) -> Path:
    """Reverse `dotted`: `clusters[0].name` is `("clusters", 0, "name")`."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", text))


def read(text: str) -> Document:
    """Read one YAML document. If the result has problems, its value cannot be trusted."""
    document = Document()
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        found = _syntax(error)
        mark = (error.context_mark if found.at_begin else None) or error.problem_mark or error.context_mark
        document.readable = False
        document.report((), mark.line + 1 if mark else 1, found.message, found.remedy)
    except RecursionError:
        document.readable = False
        document.report((), 1, "the file is nested too deeply", "use fewer levels")
    except YAMLError as error:
        first = str(error).strip().splitlines()[0]
        document.readable = False
        document.report((), 1, f"not readable as YAML: {first}", "save the file as plain UTF-8 text")
    else:
        if root is not None:
            document.value = _value(document, root, (), ())
    return document


def _value(document: Document, node: Node, path: Path, within: tuple[int, ...]) -> Value:
    """Return the plain value of a node. `within` holds the nodes around it."""
    line = node.start_mark.line + 1
    document.lines.setdefault(path, line)
    document.nodes += 1
    if id(node) in within:
        document.readable = False
        document.report(path, line, "an anchor contains itself", "write the values without the anchor")
        return None
    if document.nodes > MAX_NODES or len(within) > MAX_DEPTH:
        document.readable = False
        document.report(
            (), 1, "the file is nested too deeply, or uses anchors too often", "use fewer levels and anchors"
        )
        return None
    if str(node.tag) not in _CORE_TAGS:
        document.report(path, line, f"the tag {node.tag} is not supported", "remove the tag")
    within = (*within, id(node))
    if isinstance(node, MappingNode):
        return _mapping(document, node, path, within)
    if isinstance(node, SequenceNode):
        return [_value(document, item, (*path, index), within) for index, item in enumerate(node.value)]
    quoted = not isinstance(node, ScalarNode) or node.style is not None or str(node.tag) == "tag:yaml.org,2002:str"
    return _scalar(_text(document, str(node.value), path, line), quoted=quoted)


def _text(document: Document, text: str, path: Path, line: int) -> str:
    r"""Return a text in which each surrogate pair, such as JSON's `\ud83d\ude00`, is one character.

    Half of a pair is reported: it is no character, and UTF-8 cannot encode it.
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        document.report(path, line, "contains half of a surrogate pair", "write the character itself")
        return str(storable(text))


def _mapping(document: Document, node: MappingNode, path: Path, within: tuple[int, ...]) -> Value:
    found: dict[str, Value] = {}
    merged: dict[str, Value] = {}
    first_at: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            document.report(path, line, "the key is not a word", "write `key: value`")
            continue
        key = _text(document, str(key_node.value), path, line)
        if key == "<<" and key_node.style is None:
            merged |= _merged(document, value_node, path, within)
            continue
        here = (*path, key)
        if key in first_at:
            document.report(here, line, f"is written twice (first on line {first_at[key]})", "remove one of the two")
            continue
        first_at[key] = line
        document.lines[here] = line
        found[key] = _value(document, value_node, here, within)
    return merged | found


def _merged(document: Document, node: Node, path: Path, within: tuple[int, ...]) -> dict[str, Value]:
    """Return the fields that `<<` merges. If several sources have a field, the first one wins."""
    sources = list(node.value) if isinstance(node, SequenceNode) else [node]
    fields: dict[str, Value] = {}
    for source in reversed(sources):
        value = _value(document, source, path, within) if isinstance(source, MappingNode) else None
        if isinstance(value, dict):
            fields |= value
        elif not isinstance(source, MappingNode):
            document.report(
                path, node.start_mark.line + 1, "`<<` needs a mapping", "write `<<: *name` with the anchor of a mapping"
            )
    return fields


def _scalar(text: str, *, quoted: bool) -> Value:  # noqa: PLR0911 - a table: one line for each kind of scalar
    """Return a scalar by YAML 1.2's core rules. A value in quotes or with the tag `!!str` is text."""
    if quoted:
        return text
    match text:
        case "" | "~" | "null" | "Null" | "NULL":
            return None
        case "true" | "True" | "TRUE":
            return True
        case "false" | "False" | "FALSE":
            return False
        case _ if _INT.match(text):
            return int(text)
        case _ if _FLOAT.match(text):
            return float(text)
        case _:
            return text


@dataclass(frozen=True, slots=True)
class _Syntax:
    """A parser's error in plain words: what is wrong, and what to write instead."""

    message: str
    remedy: str
    at_begin: bool = False  # the mistake is where the construct begins, and not where the parser noticed it


def _syntax(error: MarkedYAMLError) -> _Syntax:  # noqa: PLR0911 - a table: one line for each error
    """Return a parser's error in plain words. ruamel's errors have no codes, so this reads their texts."""
    problem = error.problem or ""
    context = error.context or ""
    if r"'\t'" in problem:
        return _Syntax("the line contains a tab", "indent with spaces")
    if "cannot start any token" in problem:
        character = problem.split("'")[1] if problem.count("'") > 1 else "?"
        return _Syntax(f"a value cannot begin with {character}", "put the value in quotes")
    if "mapping values are not allowed" in problem:
        return _Syntax("a colon is not expected here", 'check the indentation, or put a value with ": " in quotes')
    if "quoted scalar" in context:
        return _Syntax("a quote is never closed", "close it", at_begin=True)
    if "flow sequence" in context or "flow mapping" in context:
        return _Syntax(
            "a bracket is never closed, or a comma is missing", "close it, or use lines with `- `", at_begin=True
        )
    if "undefined alias" in problem:
        return _Syntax(
            problem.replace("found undefined alias", "there is no anchor named"), "define it first with `&name`"
        )
    if "expected a single document" in context:
        return _Syntax("a second document begins here", "write one fleet per file, without `---`")
    if "could not find expected ':'" in problem:
        return _Syntax("a key has no colon", "write `key: value`", at_begin=True)
    if "<block end>" in problem:
        return _Syntax("the indentation differs from the lines before", "align the line with its neighbours")
    return _Syntax(f"not readable as YAML: {problem or context}", "check the lines around it")
