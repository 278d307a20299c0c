"""Replace everything in an exchange that is not known to be harmless by stand-ins, which are equal within a file.

A text is taken apart into its runs of letters and digits. A run is kept if it is a published word (`known/names.txt`:
property names, enum values, resource types and regions of Azure; `known/sentences.txt`: words of its messages), and is
replaced by other letters and digits in all other cases. So what nobody thought of is replaced too.
"""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from urllib.parse import quote, unquote

from azure_sandbox.recordings.stand_ins import StandIns


def _words(name: str) -> frozenset[str]:
    return frozenset((files("azure_sandbox.recordings") / "known" / name).read_text(encoding="utf-8").split())


NAMES, SENTENCES, IDS = _words("names.txt"), _words("sentences.txt"), _words("ids.txt")
SPOKEN = {"message", "error_description", "description", "statusmessage"}
FREE = {"tags", "nodelabels", "labels", "annotations", "userassignedidentities", "identities", "matchlabels"}
SECRETS = {
    *("password", "secret", "clientsecret", "client_secret", "secrettext", "token", "assertion", "client_assertion"),
    *(
        "access_token",
        "refresh_token",
        "id_token",
        "device_code",
        "user_code",
        "keydata",
        "primarykey",
        "connectionstring",
    ),
}
EPOCHS = {"iat", "nbf", "exp", "expires_on", "not_before", "auth_time"}
SMALL = 65_535
"""Numbers up to this one are counts, sizes, ports and percentages."""

_GUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_PIECES = re.compile(
    r"(?P<pem>-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----)"
    r"|(?P<jwt>\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]*)"
    r"|(?P<encoded>[^\s\"'<>?&=/]*%[0-9A-Fa-f]{2}[^\s\"'<>?&=/]*)"
    r"|(?P<base64>(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{24,}+={0,2}+(?![\w.=-]))"
    rf"|(?P<guid>(?<![0-9A-Za-z]){_GUID}(?![0-9A-Za-z]))"
    r"|(?P<version>\bapi-version=\d{4}-\d\d-\d\d(?:-[a-z]+)?|[$](?:top|skip)=\d{1,4}(?!\d))"
    r"|(?P<time>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?)(?![\w])"
    r"|(?P<ipv4>(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?![\w.]))"
    r"|(?P<ipv6>(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:/\d{1,3})?(?![\w:]))"
    r"|(?P<size>\b(?:Standard|Basic)_[A-Z]{1,3}\d{1,3}[a-z]{0,6}(?:_v\d)?\b)"
    r"|(?P<run>[^\W_]+)",
    re.DOTALL,
)
_VERSION = re.compile(
    r"v?\d{1,2}\.\d{1,3}(\.\d{1,3})?([-+](aks|alpha|beta|rc|preview)[.\d]{0,4})?"
    r"|\d{4}-\d\d-\d\d(-[a-z]{0,7}preview)?"
    r"|AKS[A-Za-z]+-\d{4}(gen2)?(arm64)?(fips)?(containerd)?-\d{6}\.\d{1,2}\.\d"
)
_TELEPHONE = re.compile(r"[\d\s().+/-]*")
FEWEST_DIGITS = 5


class Scrubber:
    """The stand-ins of one recording. It holds the real values in memory, so it must not outlive the recording."""

    def __init__(self) -> None:
        self._stand_ins = StandIns()
        self._shift = timedelta(seconds=-secrets.randbelow(28 * 86_400) - 1)

    def text(self, text: str, key: str = "") -> str:
        """Return a text with stand-ins. `key` is the name of the property or field that holds it."""
        name = key.lower()
        if name in SECRETS:
            return _PIECES.sub(lambda it: self._secret(it[0]), text)
        if ("version" in name or name == "upgrades") and _VERSION.fullmatch(text):
            return text
        if _TELEPHONE.fullmatch(text) and not _structured(text) and sum(map(str.isdigit, text)) >= FEWEST_DIGITS:
            return self._stand_ins.runs(text)
        words = NAMES | SENTENCES if name in SPOKEN else NAMES
        return _PIECES.sub(lambda it: self._piece(it, words), text)

    def document(self, value: Any, key: str = "") -> Any:
        """Return a JSON document with stand-ins: in names of properties, texts, large numbers and times."""
        match value:
            case dict():
                free = key.lower() in FREE
                return {
                    self.text(name, "" if free else key): self.document(inner, "" if free else name)
                    for name, inner in value.items()
                }
            case list():
                return [self.document(it, key) for it in value]
            case str():
                return self.text(value, key)
            case int() | float() if not isinstance(value, bool):
                return self._number(value, key)
            case _:
                return value

    def _number(self, number: float, key: str) -> float:
        if key.lower() in EPOCHS:
            return int(number + self._shift.total_seconds())
        if abs(number) <= SMALL and number == round(number, 3):
            return number
        return float(text) if "." in (text := self._stand_ins.number(number)) else int(text)

    def _secret(self, piece: str) -> str:
        match = _PIECES.fullmatch(piece)
        if match is not None and match.lastgroup == "jwt":
            return self._jwt(piece)
        return self._stand_ins.runs(piece)

    def _piece(self, match: re.Match[str], words: frozenset[str]) -> str:  # noqa: PLR0911  # one for each kind
        piece = match[0]
        match match.lastgroup:
            case "version" | "size":
                return piece
            case "pem":
                first, _, rest = piece.removeprefix("-----").partition("-----")
                body, _, last = rest.removesuffix("-----").rpartition("-----")
                return f"-----{self.text(first)}-----{self._stand_ins.runs(body)}-----{self.text(last)}-----"
            case "jwt":
                return self._jwt(piece)
            case "encoded":
                return quote(_PIECES.sub(lambda it: self._piece(it, words), unquote(piece)), safe="$'(),:;@!*+~")
            case "base64":
                return self._base64(piece, words)
            case "guid":
                return piece if piece.lower() in IDS else self._stand_ins.guid(piece)
            case "time":
                return self._time(piece)
            case "ipv4" | "ipv6":
                return self._stand_ins.address(piece) if _is_address(piece) else self._runs(piece, words)
            case _:
                return self._run(piece, words)

    def _runs(self, text: str, words: frozenset[str]) -> str:
        return re.sub(r"[^\W_]+", lambda it: self._run(it[0], words), text)

    def _run(self, run: str, words: frozenset[str]) -> str:
        if run.lower() in words and not self._stand_ins.knows(run):
            return run
        if run.isascii() and run.isdigit() and len(run) <= 2:  # noqa: PLR2004  # an ordinal, or a part of a time
            return run
        return self._stand_ins.run(run)

    def _base64(self, piece: str, words: frozenset[str]) -> str:
        try:
            inner = b64decode(piece, validate=True).decode()
        except ValueError:
            return self._runs(piece, words)
        if not all(it.isprintable() or it in "\r\n\t" for it in inner):
            return self._runs(piece, words)
        scrubbed = b64encode(self.text(inner).encode()).decode()
        return self._runs(piece, words) if scrubbed == piece else scrubbed  # a secret may happen to decode into words

    def _jwt(self, token: str) -> str:
        head, claims, signature = token.split(".")
        try:
            parts = [self.document(json.loads(_unpadded(it))) for it in (head, claims)]
        except ValueError:
            return self._stand_ins.runs(token)
        encoded = [urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in parts]
        return ".".join((*encoded, secrets.token_urlsafe(len(signature))[: len(signature) - len(signature) % 4]))

    def _time(self, piece: str) -> str:
        try:
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", piece.replace("Z", "+00:00")))
            shifted = (moment + self._shift).isoformat()
        except (ValueError, OverflowError):
            return self._stand_ins.runs(piece)
        fraction = re.search(r"\.\d+", piece)
        seconds = shifted[11:19]
        end = re.sub(r"^.{10}[T ]?[\d:.]*", "", piece)
        if len(piece) == len("2026-11-27"):
            return shifted[:10]
        return f"{shifted[:10]}{piece[10]}{seconds}{fraction[0] if fraction else ''}{end}"


def _unpadded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _is_address(piece: str) -> bool:
    try:
        ipaddress.ip_interface(piece)
    except ValueError:
        return False
    return True


def _structured(text: str) -> bool:
    """Tell whether a text without letters is an address or a time, which have stand-ins of their own."""
    match = _PIECES.fullmatch(text)
    return (
        match is not None and match.lastgroup in {"ipv4", "time"} and (match.lastgroup == "time" or _is_address(text))
    )
