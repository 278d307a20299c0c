"""Stand-ins of the same shape: a letter for a letter, a digit for a digit, an address for an address.

They are random, so they say nothing about the real value except its length, and equal for values that are equal.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import string
from collections.abc import Callable

TRIES = 100
KEPT_ADDRESSES = ("127.0.0.0/8", "169.254.169.254/32", "168.63.129.16/32", "0.0.0.0/32", "255.255.255.255/32")
PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
KEPT = tuple(map(ipaddress.IPv4Network, KEPT_ADDRESSES))
DEFAULT_RANGES = frozenset(  # of AKS, when a cluster names none
    ("10.0.0.0/16", "10.0.0.10", "10.244.0.0/16", "10.224.0.0/12", "10.224.0.0/16", "172.17.0.1/16", "10.0.0.0/8")
)
BENCHMARK = int(ipaddress.IPv4Address("198.18.0.0"))
DOCUMENTATION = int(ipaddress.IPv6Address("2001:db8::"))


class StandIns:
    """What was replaced so far, and by what."""

    def __init__(self) -> None:
        self._by_value: dict[str, str] = {}
        self._used: set[str] = set()
        self._flips: dict[str, int] = {}

    def knows(self, run: str) -> bool:
        """Tell whether a run of letters and digits has a stand-in already."""
        return run.lower() in self._by_value

    def run(self, run: str) -> str:
        """Return the stand-in of a run of letters and digits. Runs that differ in case only have the same one."""
        low = run.lower()
        made = self._once(low, lambda: "".join(map(_other, low)))
        return "".join(it.upper() if at < len(run) and run[at].isupper() else it for at, it in enumerate(made))

    def runs(self, text: str) -> str:
        """Return a text in which every run of letters and digits is a stand-in."""
        return re.sub(r"[^\W_]+", lambda it: self.run(it[0]), text)

    def guid(self, guid: str) -> str:
        """Return the stand-in of a GUID, in the case of the original."""
        made = self._once(guid.lower(), _guid)
        return made.upper() if guid.isupper() else made

    def number(self, number: float) -> str:
        """Return the digits of a number of the same length."""
        return self._once(f"number {number}", lambda: _digits(str(number)))

    def address(self, text: str) -> str:
        """Return the stand-in of an IP address, or of a range. Private addresses stay private and in their ranges."""
        interface = ipaddress.ip_interface(text)
        if isinstance(interface, ipaddress.IPv6Interface):
            made = self._once(
                str(interface.ip), lambda: str(ipaddress.IPv6Address(DOCUMENTATION + len(self._used) + 1))
            )
            return made + text[len(text.partition("/")[0]) :]
        address, _, length = text.partition("/")
        if text in DEFAULT_RANGES or any(interface.ip in it for it in KEPT):
            return text
        if not any(interface.ip in it for it in PRIVATE):
            made = self._once(address, lambda: str(ipaddress.IPv4Address(BENCHMARK + len(self._used) + 1)))
        else:
            made = self._private(interface.ip, int(length or 32))
        return f"{made}/{length}" if length else made

    def _private(self, address: ipaddress.IPv4Address, length: int) -> str:
        """Flip the bits of the network, each by what precedes it, so that an address stays in its networks."""
        network = next(it for it in PRIVATE if address in it)
        bits = f"{int(address):032b}"
        out = bits[: network.prefixlen]
        for at in range(network.prefixlen, 32):
            flip = self._flips.setdefault(bits[:at], secrets.randbelow(2)) if at < length else 0
            out += str(int(bits[at]) ^ flip)
        return str(ipaddress.IPv4Address(int(out, 2)))

    def _once(self, value: str, make: Callable[[], str]) -> str:
        if value not in self._by_value:
            made = make()
            for _ in range(TRIES):
                if made not in self._used and made != value:
                    break
                made = make()
            else:  # all short ones are taken
                made += secrets.token_hex(4)
            self._used.add(made)
            self._by_value[value] = made
        return self._by_value[value]


def _other(character: str) -> str:
    return secrets.choice(string.digits if character.isdigit() else string.ascii_lowercase)


def _digits(number: str) -> str:
    return re.sub(r"\d+", lambda it: str(secrets.randbelow(9) + 1) + "".join(map(_other, it[0][1:])), number)


def _guid() -> str:
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
