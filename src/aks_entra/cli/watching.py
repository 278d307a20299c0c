"""`aks-entra approve --all-waiting --watch`: one sign-in signs the gates of several hours, each after a question.

The keys live in the memory of this process alone: a file with one could approve for a day without the person.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.each_gate import say_refused
from aks_entra.cli.gate_answers import answer_signed, claim, confirmed, need_terminal, no_claim
from aks_entra.cli.signing import approvals_port, browser_here, need_ticket, signed_in, stated, stored, to_sign
from aks_entra.core.durations import in_words, stamp
from aks_entra.core.planning.approvers import LONGEST_SIGN_IN
from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from aks_entra.cli.signing import Signed, ToSign
    from aks_entra.ports.approvals import Browser, SigningKey
    from aks_entra.prefect_client import Gate

LONGEST: Final = timedelta(seconds=LONGEST_SIGN_IN)
EVERY: Final = 5.0
"""Seconds between two looks at what waits."""


class SignIns:
    """The sign-ins of one person, one for each application, and their keys, until a moment."""

    def __init__(self, until: datetime, browser: Browser) -> None:
        self._until = until
        self._browser = browser
        self._keys: dict[tuple[str, str], SigningKey] = {}

    @property
    def until(self) -> datetime:
        """When the first key stops signing, or the watch ends."""
        return min((self._until, *(key.until for key in self._keys.values())))

    @property
    def ended(self) -> str:
        """Why it is over at `until`, in words."""
        if self.until == self._until:
            return f"the time is over ({stamp(self._until)})"
        return f"the sign-in signed until {stamp(self.until)}, by `sign_in_expires_after` of the approvers"

    async def sign(self, one: ToSign, reason: str, ticket: str) -> Signed:
        """Sign the approval of a gate. The person signs in if nobody did for this application yet."""
        need_ticket(one, ticket)
        said = stated(one.asked, reason, ticket)
        async with approvals_port() as port:  # a session of its own for each gate reads Entra's keys of that moment
            key = self._keys.get(one.application)
            if key is None:
                until = min(self._until, wiring.SystemClock().now() + one.approvers.key_lasts)
                key = await signed_in(port, said, one.approvers, self._browser, until=until)
            signed = await stored(port, one, key.sign(said))
            self._keys[one.application] = key  # only now: with the wrong account, the person signs in again
            return signed


class Answering:
    """Asks about gates, and answers those that the person approves."""

    def __init__(self, sign_ins: SignIns, *, reason: str, ticket: str, approver: str | None, sign: bool) -> None:
        self._sign_ins = sign_ins
        self._reason = reason
        self._ticket = ticket
        self._approver = approver
        self._sign = sign

    async def answer(self, gate: Gate) -> bool:
        """Ask about a gate, and answer it. False: the person approved, and it was refused, so it is asked again."""
        try:
            signing = await to_sign(gate, sign=self._sign)
            agreed = await self._agreed(gate, signing)
        except Refused as error:  # it cannot be asked about
            say_refused(gate, error)
            return True
        return await self._given(gate, signing) if agreed else True

    async def _agreed(self, gate: Gate, signing: ToSign | None) -> bool:
        if signing is not None:
            no_claim(self._approver)
            need_ticket(signing, self._ticket)
        try:
            async with asyncio.timeout((self._sign_ins.until - wiring.SystemClock().now()).total_seconds()):
                agreed = await confirmed(gate, signing, unanswered=f"run {gate.run_name} goes on waiting")
        except TimeoutError:  # the time ended during a question, and `confirmed` said so
            return False
        if not agreed:
            output.say(f"run {gate.run_name} goes on waiting", style="dim")
        return agreed

    async def _given(self, gate: Gate, signing: ToSign | None) -> bool:
        try:
            if signing is None:
                await claim(gate, self._reason, self._ticket, self._approver)
            else:
                signed = await self._sign_ins.sign(signing, self._reason, self._ticket)
                await answer_signed(signed, self._reason, self._ticket)
        except AksEntraError as error:  # the wrong account, for example, or somebody else answered it
            say_refused(gate, error)
            return False
        return True


async def watch_gates(
    *, reason: str, ticket: str, approver: str | None, no_browser: bool, sign: bool, lasting: timedelta
) -> None:
    """Ask about each gate that waits or begins to wait, and answer those that the person approves."""
    await prefect_client.require_server()
    need_terminal()
    now = wiring.SystemClock().now
    sign_ins = SignIns(now() + lasting, browser_here(no_browser=no_browser))
    answer = Answering(sign_ins, reason=reason, ticket=ticket, approver=approver, sign=sign).answer
    output.say(f"waiting for gates for {in_words(int(lasting.total_seconds()))}; Ctrl-C ends it")
    try:
        await watch(prefect_client.gates, answer, until=lambda: sign_ins.until, now=now, sleep=asyncio.sleep)
    except asyncio.CancelledError:
        output.say("", "ended: the key of the sign-in is gone, and signs nothing any more")
        raise
    output.say(f"ended: {sign_ins.ended}. To go on, type the command again, and sign in")


async def watch(
    waiting: Callable[[], Awaitable[Iterable[Gate]]],
    answer: Callable[[Gate], Awaitable[bool]],
    *,
    until: Callable[[], datetime],
    now: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """Answer each question of each gate once, as it begins to wait, until the moment that `until` returns.

    A gate that `answer` does not settle is asked about again, while it waits.
    If Prefect's server does not answer, that is said once, and the questions are asked when it answers again.
    """
    asked = set()
    away = False
    while now() < until():
        try:
            for gate in await waiting():
                if (gate.run, gate.asked) not in asked and now() < until() and await answer(gate):
                    asked.add((gate.run, gate.asked))
            away = False
        except typer.Exit:  # Ctrl-D at a question
            raise
        except Exception as error:  # noqa: BLE001 - a server that is restarted must not end the sign-in
            if not away:
                output.say(f"Prefect's server does not answer ({type(error).__name__}): it is asked again", style="dim")
            away = True
        await sleep(EVERY)
