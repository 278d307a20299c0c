"""Errors of a fleet file: the file, line and field, what is wrong, and what to write instead. No secret is shown."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from aks_entra.errors import Refused, SeveralRefused
from aks_entra.fleet_file.yaml_lines import Document, Path, Problem, Value, dotted
from aks_entra.text.safe import for_log

SHOWN: Final = 60  # characters of a wrong value that an error repeats
PAGE: Final = "docs/reference/fleet-file.md"
PRIVATE: Final = "prover"  # values under this key are never repeated: somebody may have pasted a secret

_OTHER_NAMES: Final = {
    "aadadmingroupobjectids": "admin_groups",
    "admingroupobjectids": "admin_groups",
    "groups": "admin_groups",
    "aadtenantid": "tenant_id",
    "tenant": "tenant_id",
    "enableazurerbac": "azure_rbac",
    "disablelocalaccounts": "local_accounts",
    "localaccountdisabled": "local_accounts",
    "rg": "resource_group",
    "resourcegroupname": "resource_group",
    "resourceid": "id",
    "objectid": "id",
    "displayname": "name",
    "cluster": "name",
    "appid": "client_id",
    "secret": "client_secret_env",
    "clientsecret": "client_secret_env",
    "strategy": "rollout",
    "members": "clusters",
    "selector": "tags",
    "labels": "tags",
    "schedule": "cron",
    "schedules": "runs",
    "tz": "timezone",
    "event": "on_event",
    "trigger": "on_event",
}
"""Other names of our keys, from ARM, az and Terraform (compared without case, dashes and underscores)."""


class Mistake(ValueError):
    """One problem of a value, and what to write instead. `at` is the path from the value that was checked."""

    def __init__(self, message: str, remedy: str, *, at: Path = (), value: str | None = None) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy
        self.at = at
        self.value = value


class Mistakes(ValueError):
    """Several problems at once."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(str(mistake) for mistake in self.mistakes))


def refusal(source: str, problems: Iterable[Problem]) -> Refused:
    """Return all problems of a file as one error, sorted by line."""
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.where))
    texts = [
        f"{source}:{problem.line}: {problem.where + ': ' if problem.where else ''}{problem.message}"
        for problem in ordered
    ]
    if len(ordered) == 1:
        return Refused(texts[0], remedy=ordered[0].remedy)
    lines = [f"{for_log(text)}\n    → {for_log(problem.remedy)}" for text, problem in zip(texts, ordered, strict=True)]
    return SeveralRefused("\n  ".join((f"{for_log(source)}: {len(ordered)} problems", *lines)))


def problems_of(
    error: ValidationError, model: type[BaseModel], document: Document, page: str = PAGE
) -> Iterator[Problem]:
    """Yield the problems that pydantic found, each with its line and a remedy. `page` describes the format."""
    details = error.errors(include_url=False)
    meant = {_meant(tuple(detail["loc"]), model) for detail in details if detail["type"] == "extra_forbidden"}
    for detail in details:
        where: Path = tuple(detail["loc"])
        if detail["type"] == "missing" and where in meant:
            continue  # the key is misspelt: reported as an unknown key
        if detail["type"] == "too_short" and detail["input"]:
            continue  # each of its entries was reported already
        context = detail.get("ctx", {})
        raised = context.get("error")
        if isinstance(raised, Mistakes):
            mistakes = raised.mistakes
        elif isinstance(raised, Mistake):
            mistakes = (raised,)
        else:
            found = _mistake(detail["type"], where, detail["input"], context, model)
            mistakes = (found or Mistake(f"is not valid here ({detail['type']})", f"see {page}"),)
        for mistake in mistakes:
            at = (*where, *mistake.at)
            value = "" if mistake.value is None or PRIVATE in at else f"{shown(mistake.value)} "
            yield Problem(
                line=document.line(at), where=dotted(at), message=f"{value}{mistake.message}", remedy=mistake.remedy
            )


def unwritten(document: Document, complained: list[str]) -> Iterator[Problem]:
    """Yield the keys without a value: an empty `resource_group:` must not mean "every resource group"."""
    for path in _empty(document.value, ()):
        if dotted(path) not in complained:
            remedy = "write a value, or remove the key"
            yield Problem(line=document.line(path), where=dotted(path), message="has no value", remedy=remedy)


def _empty(value: Value, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if inner is None:
                yield (*path, key)
            yield from _empty(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _empty(inner, (*path, index))


def _mistake(  # noqa: C901, PLR0911, PLR0912 - a table: one line for each kind of error
    kind: str, where: Path, value: Any, context: dict[str, Any], model: type[BaseModel]
) -> Mistake | None:
    """Return one of pydantic's own errors in our words. None for one that has no words here."""
    key = str(where[-1]) if where else ""
    within = _model_at(model, where[:-1])
    match kind:
        case "extra_forbidden":
            return Mistake("unknown key", _known(where, within, model))
        case "missing":
            return Mistake("is missing", f"add `{key}: …` ({_described(within, key)})")
        case "enum":
            named = where if isinstance(where[-1], str) else where[:-1]
            return _choice(_model_at(model, named[:-1]), str(named[-1]), value, where)
        case "string_type":
            return _not_text(value, where)
        case "bool_type":
            return Mistake(
                f"must be true or false, not {_kind(value, where)}", f"write `{key}: true` or `{key}: false`"
            )
        case "int_type" | "int_from_float":
            return Mistake(f"must be a whole number, not {_kind(value, where)}", f"write `{key}: 5`")
        case "greater_than_equal":
            return Mistake(f"{value} is too small", f"write {context['ge']} or more")
        case "less_than_equal":
            return Mistake(f"{value} is too large", f"write {context['le']} or less")
        case "tuple_type":
            return _not_a_list(key, value, where)
        case "dict_type" | "model_type" | "model_attributes_type":
            return _not_a_mapping(value, where, model)
        case "string_too_short" | "too_short":
            return Mistake("is empty", "write a value, or remove the key")
        case "string_too_long":
            return Mistake(f"is longer than {context['max_length']} characters", "shorten it")
        case "too_long":
            return Mistake(f"has more than {context['max_length']} entries", _fewer(key))
        case _:
            return None


def _choice(within: type[BaseModel] | None, key: str, value: Any, where: Path) -> Mistake:
    annotation = _fields(within)[key].annotation if within else None
    words = next(([str(one.value) for one in kind] for kind in _enums_in(annotation)), [])
    close = difflib.get_close_matches(str(value).casefold(), words, n=1) if isinstance(value, str) else []
    if isinstance(value, bool):
        close = [word for word in words if word == ("on" if value else "off")]
    meant = f"did you mean `{key}: {close[0]}`? Valid values are" if close else "write"
    return Mistake(f"{_kind(value, where)} is not a valid value", f"{meant} {_or(words)}")


def _not_text(value: Any, where: Path) -> Mistake:
    if isinstance(value, bool | int | float):
        return Mistake(f"must be text, not {_kind(value, where)}", "put it in quotes")
    if value is None:
        return Mistake("has no value", "write a value, or remove the key")
    return Mistake(f"must be text, not {_kind(value, where)}", "write text")


def _not_a_list(key: str, value: Any, where: Path) -> Mistake:
    if value is None:
        return Mistake("has no value", "write a list below it (`- …`), or remove the key")
    return Mistake(
        f"must be a list, not {_kind(value, where)}", f"write `{key}:`, and one line `- …` below it for each entry"
    )


def _not_a_mapping(value: Any, where: Path, model: type[BaseModel]) -> Mistake:
    here = _model_at(model, where)
    keys = _or(list(_fields(here))) if here else "a name and its value"
    if value is None:
        return Mistake("has no value", f"write {keys} below it")
    if where and where[0] == "clusters" and isinstance(value, str) and value.startswith("/"):
        return Mistake("must be `key: value`, not text", f"write `id: {value}`")
    return Mistake(f"must be `key: value`, not {_kind(value, where)}", f"write keys and values: {keys}")


def _known(where: Path, within: type[BaseModel] | None, model: type[BaseModel]) -> str:
    """Say which key was probably meant, and which keys are allowed."""
    allowed = list(_fields(within)) if within else []
    key = str(where[-1])
    other = _OTHER_NAMES.get(_plain(key), key)
    elsewhere = min((place for name, place in _places(model) if name == other and place), key=len, default="")
    meant = _meant(where, model)
    if meant != where and not (key == other and elsewhere):
        return f"did you mean `{meant[-1]}`? Allowed here: {_or(allowed)}"
    if elsewhere:
        return f"`{other}` belongs under `{elsewhere}`. Allowed here: {_or(allowed)}"
    return f"remove it, or use one of {_or(allowed)}"


def _meant(where: Path, model: type[BaseModel]) -> Path:
    """Return the path that was probably meant by a path with an unknown key, or the same path if none is likely."""
    within = _model_at(model, where[:-1])
    plain = {_plain(name): name for name in _fields(within)} if within else {}
    key = _plain(str(where[-1]))
    other = _OTHER_NAMES.get(key)
    if other in plain.values():
        return (*where[:-1], str(other))
    close = difflib.get_close_matches(key, plain, n=1)
    return (*where[:-1], plain[close[0]]) if close else where


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model of the value at a path, or None if the value has no model."""
    here: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        if here is None or part not in _fields(here):
            return None
        here = _model_in(_fields(here)[part].annotation)
    return here


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by their keys in the file: `not` is a word of Python, and its field is `not_`."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _model_in(part))), None)


def _enums_in(annotation: Any) -> Iterator[type[Enum]]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _enums_in(part)


def _places(model: type[BaseModel], under: str = "") -> Iterator[tuple[str, str]]:
    """Yield each key of the format, and the path above it."""
    for name, field in _fields(model).items():
        yield name, under
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _places(inner, f"{under}.{name}" if under else name)


def _described(within: type[BaseModel] | None, key: str) -> str:
    description = _fields(within)[key].description if within else None
    return (description or "required").rstrip(".")


def _fewer(key: str) -> str:
    return {
        "members": "create the group with fewer, then add the others in Microsoft Entra ID",
        "owners": "create the group with fewer, then add the others in Microsoft Entra ID",
    }.get(key, "shorten the list")


def _kind(value: Any, where: Path) -> str:
    if value is None or PRIVATE in where:
        return "this value"
    match value:
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {shown(value)}"
        case _:
            return shown(value)


def shown(value: object) -> str:
    """Return a wrong value, short enough for an error."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text[:SHOWN]}…`" if len(text) > SHOWN else f"`{text}`"


def _plain(key: str) -> str:
    return "".join(character for character in key.casefold() if character.isalnum())


def _or(words: list[str]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}" if len(words) > 1 else "".join(words)
