"""YAML read into plain values, with the line of every field beside it, so that an error can say where to look.

Reads YAML 1.2 whatever the file declares: `off`, `on`, `yes` and `no` stay words. Every problem is collected, not only
the first. Knows nothing of fleets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

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
    """One thing wrong in a file: its line (from 1), the field it is in, what is wrong and what to write instead."""

    line: int
    where: str
    message: str
    remedy: str


@dataclass(slots=True, kw_only=True)
class Document:
    """What a file says, the line of each path in it, and what was wrong with the YAML itself."""

    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    readable: bool = True  # False: the value says nothing, only the problems do
    nodes: int = 0

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def report(self, path: Path, line: int, message: str, remedy: str) -> None:
        """Note a problem, once: what stands in an anchor is met at each of its uses."""
        known = any((problem.line, problem.message) == (line, message) for problem in self.problems)
        if not known:
            self.problems.append(Problem(line=line, where=dotted(path), message=message, remedy=remedy))


def dotted(path: Path) -> str:
    """`target.admin_groups[1].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def path_of(text: str) -> Path:
    """The other way round: `clusters[0].name` is `("clusters", 0, "name")`."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", text))


def read(text: str) -> Document:
    """Read one YAML document. Problems are in the result; a text with any has no trustworthy value."""
    document = Document()
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        message, remedy = _syntax(error)
        begun = "never closed" in message or "without a colon" in message
        mark = (error.context_mark if begun else None) or error.problem_mark or error.context_mark
        document.readable = False
        document.report((), mark.line + 1 if mark else 1, message, remedy)
    except RecursionError:
        document.readable = False
        document.report((), 1, "nested too deeply", "write it flat")
    except YAMLError as error:
        first = str(error).strip().splitlines()[0]
        document.readable = False
        document.report((), 1, f"not readable as YAML: {first}", "save the file as plain UTF-8 text")
    else:
        if root is not None:
            document.value = _value(document, root, (), ())
    return document


def _value(document: Document, node: Node, path: Path, within: tuple[int, ...]) -> Value:
    """The plain value of a node; `within` are the nodes around it."""
    line = node.start_mark.line + 1
    document.lines.setdefault(path, line)
    document.nodes += 1
    if id(node) in within:
        document.readable = False
        document.report(path, line, "an anchor that contains itself", "write the values out")
        return None
    if document.nodes > MAX_NODES or len(within) > MAX_DEPTH:
        document.readable = False
        document.report((), 1, "nested too deeply, or anchors used too often", "write it flat")
        return None
    if str(node.tag) not in _CORE_TAGS:
        document.report(path, line, f"the tag {node.tag} means nothing here", "leave the tag out")
    within = (*within, id(node))
    if isinstance(node, MappingNode):
        return _mapping(document, node, path, within)
    if isinstance(node, SequenceNode):
        return [_value(document, item, (*path, index), within) for index, item in enumerate(node.value)]
    quoted = not isinstance(node, ScalarNode) or node.style is not None or str(node.tag) == "tag:yaml.org,2002:str"
    return _scalar(str(node.value), quoted=quoted)


def _mapping(document: Document, node: MappingNode, path: Path, within: tuple[int, ...]) -> Value:
    found: dict[str, Value] = {}
    merged: dict[str, Value] = {}
    first_at: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            document.report(path, line, "a key that is not a word", "write `key: value`")
            continue
        key = str(key_node.value)
        if key == "<<" and key_node.style is None:
            merged |= _merged(document, value_node, path, within)
            continue
        here = (*path, key)
        if key in first_at:
            document.report(
                here, line, f"stands here for the second time (first on line {first_at[key]})", "keep one of the two"
            )
            continue
        first_at[key] = line
        document.lines[here] = line
        found[key] = _value(document, value_node, here, within)
    return merged | found


def _merged(document: Document, node: Node, path: Path, within: tuple[int, ...]) -> dict[str, Value]:
    """The fields that `<<` brings in; of several sources the first one wins."""
    sources = list(node.value) if isinstance(node, SequenceNode) else [node]
    fields: dict[str, Value] = {}
    for source in reversed(sources):
        value = _value(document, source, path, within) if isinstance(source, MappingNode) else None
        if isinstance(value, dict):
            fields |= value
        elif not isinstance(source, MappingNode):
            document.report(path, node.start_mark.line + 1, "`<<` takes a mapping", "write `<<: *name` of a mapping")
    return fields


def _scalar(text: str, *, quoted: bool) -> Value:  # noqa: PLR0911 - a table: one line for each kind of scalar
    """A scalar by YAML 1.2's core rules; what is quoted, or tagged `!!str`, is text."""
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


def _syntax(error: MarkedYAMLError) -> tuple[str, str]:  # noqa: PLR0911 - a table: one line for each complaint
    """A parser's words in a person's: what is wrong, and what to write instead."""
    problem = error.problem or ""
    context = error.context or ""
    if r"'\t'" in problem:
        return "a tab", "indent with spaces"
    if "cannot start any token" in problem:
        character = problem.split("'")[1] if problem.count("'") > 1 else "?"
        return f"a value cannot begin with {character}", "put the value in quotes"
    if "mapping values are not allowed" in problem:
        return "a colon where none is expected", 'check the indentation, or put a value with ": " in quotes'
    if "quoted scalar" in context:
        return "a quote that is never closed", "close it"
    if "flow sequence" in context or "flow mapping" in context:
        return "a bracket that is never closed, or a comma that is missing", "close it, or use lines and `- `"
    if "undefined alias" in problem:
        return problem.replace("found undefined alias", "no anchor named"), "define it first with `&name`"
    if "expected a single document" in context:
        return "a second document begins here", "keep one fleet per file, without `---` between"
    if "could not find expected ':'" in problem:
        return "a key without a colon", "write `key: value`"
    if "<block end>" in problem:
        return "indented otherwise than the lines before it", "align it with its neighbours"
    return f"not readable as YAML: {problem or context}", "check the lines around it"
