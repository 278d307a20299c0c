"""Reads a file of one kind (a fleet, a cluster) into its model. Each problem has its line, its field and a remedy."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from aks_entra.errors import Refused
from aks_entra.fleet_file.errors import problems_of, refusal, shown, unwritten
from aks_entra.fleet_file.yaml_lines import Problem, path_of, read

MAX_BYTES: Final = 1_048_576
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file: its name in errors, the page that shows a complete example, and what its key `kind` says.

    A file without such a key has an empty `says`.
    """

    name: str
    page: str
    says: str = ""

    @property
    def begin(self) -> str:
        """The remedy for a file that is missing or empty."""
        return f"begin the {self.name} with `version: 1`; {self.page} shows a complete example"


def load(path: Path, model: type[_Model], kind: Kind) -> _Model:
    """Read and check a file (`-`: standard input). Raises `Refused` with every problem: line, field, remedy."""
    return parse(text_of(path, kind), "standard input" if str(path) == "-" else str(path), model, kind)


def parse(text: str, source: str, model: type[_Model], kind: Kind) -> _Model:
    """Check the text of a file. Errors call it `source`. Raises `Refused` as `load` does."""
    document = read(text)
    problems = list(document.problems)
    if not document.readable:
        raise refusal(source, problems)
    if not isinstance(document.value, dict):
        if not problems:
            empty = document.value is None
            what = "is empty" if empty else f"is not a mapping: a {kind.name} consists of `key: value`"
            problems = [Problem(line=1, where="", message=what, remedy=kind.begin)]
        raise refusal(source, problems)
    if (said := document.value.get("kind")) != (kind.says or None):
        problems.append(
            Problem(
                line=document.line(("kind",)),
                where="kind",
                message=f"this is no {kind.name}: it says {shown(said) if said else 'no kind'}",
                remedy=f"write `kind: {kind.says}`, or name a {kind.name}" if kind.says else f"name a {kind.name}",
            )
        )
        raise refusal(source, problems)
    found = None
    try:
        found = model.model_validate(document.value)
    except ValidationError as error:
        problems += problems_of(error, model, document, kind.page)
    problems += unwritten(document, [problem.where for problem in problems])
    if found is None or problems:
        raise refusal(source, problems)
    return found


def line_of(path: Path, field: str) -> int | None:
    """Return the line of a field such as `clusters[0].name`, or None if the file cannot be read again."""
    if str(path) == "-":
        return None
    try:
        return read(text_of(path, Kind(name="file", page=""))).line(path_of(field))
    except Refused:
        return None


def schema_of(model: type[BaseModel], kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a kind of file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(),
        "title": f"aks-entra {kind.name}",
    }


def schema_text(model: type[BaseModel], kind: Kind) -> str:
    """Return the schema as its file contains it. `make docs` writes the file."""
    return json.dumps(schema_of(model, kind), indent=2, ensure_ascii=False) + "\n"


def text_of(path: Path, kind: Kind) -> str:
    """Return the text of a file. Raises `Refused` if it is missing, not UTF-8, or larger than `MAX_BYTES`."""
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            remedy = f"split the {kind.name.removesuffix(' file')} into several files"
            raise Refused(f"{path}: larger than {MAX_BYTES // 1024} KiB", remedy=remedy)
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise Refused(f"{path}: no such file", remedy=kind.begin) from None
    except IsADirectoryError:
        raise Refused(f"{path}: is a folder", remedy="name a file in this folder") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Refused(f"{path}:{line}: is not UTF-8 text", remedy="save it in the encoding UTF-8") from None
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}", remedy="check its permissions") from None
