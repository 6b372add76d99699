"""The play of `pratique demo`: a copy of the example, an agent in it, and what was seen of both.

Rules:
- The example is copied before it runs; what is installed, or checked out, is never written to.
- The agent is the example's, unchanged. Its session is looked at on the way, and nothing is added to it.
- A question goes to the audience at once; the answer goes through the same queue as every other answer.
"""

import importlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from email import message_from_bytes
from email.policy import default
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pratique.app import open_runtime
from pratique.approvals.card import Card
from pratique.approvals.question import Question
from pratique.audit.chain import Head
from pratique.cli.approvals import answer
from pratique.cli.demo_serve import serving
from pratique.client import RemoteSession
from pratique.errors import SandboxUnavailableError, SettingsError
from pratique.ledger import queries
from pratique.model import Level, Outcome, Status, Taint, Tier
from pratique.runtime import Runtime
from pratique.sandbox.ladder import Ladder
from pratique.sessions.trace import trace
from pratique.settings import OF_THE_MACHINE, PREFIX, Settings

MODULE = "pratique.examples.support.agent"
USER = "kim@acme.example"
A_PERSON_S = 3600.0
"""How long the demo waits for somebody to answer."""
CODE = "pratique.tools.code"


class Answer(NamedTuple):
    """What a person said."""

    approve: bool
    reason: str


class Audience(Protocol):
    """Who watches the play, and answers its questions."""

    def begins(self, title: str, request: str) -> None:
        """A run begins."""

    def say(self, text: str, style: str = "") -> None:
        """Something is different here, in one line."""

    def called(self, tool: str, args: Any, outcome: Outcome) -> None:
        """A call came back."""

    def answer(self, card: Card, question: Question) -> Answer | None:
        """Return a person's answer to a question; None if they answer at the server's pages."""

    def opens_door(self, address: str, link: str) -> None:
        """The server runs: where, and the link that logs a person in."""

    def waits(self, card: Card, address: str) -> None:
        """A question waits at this page."""

    async def lingers(self, address: str) -> None:
        """Everything was done; return when the person has seen enough."""

    def ends(self, output: str) -> None:
        """A run ended with this final answer."""


class Played(NamedTuple):
    """What is left of a play: the trace of each run, and the head of the log after the last."""

    traces: list[dict[str, Any]]
    head: Head


class Watched:
    """A session as the agent sees it, with an audience.

    Args:
        session: the session.
        runtime: what serves it.
        audience: who watches.
        address: of the server.
    """

    def __init__(self, session: RemoteSession, runtime: Runtime, audience: Audience, address: str) -> None:
        self._session, self._runtime, self._audience = session, runtime, audience
        self._address = address
        self._asked: dict[str, tuple[str, Any]] = {}

    async def call(self, tool: str, args: Any = None) -> Outcome:
        """Call a tool. If a person must agree, ask them before the outcome goes back."""
        outcome = await self._session.call(tool, args, wait=0)
        if outcome.status is Status.PENDING:
            self._asked[outcome.ticket] = (tool, args)
            self._ask(outcome.ticket)  # nothing else has to run in this process: it may block
        else:
            self._audience.called(tool, args, outcome)
        return outcome

    async def redeem(self, ticket: str, *, wait: float | None = None) -> Outcome:
        """Go on with a call that waited for a person."""
        outcome = await self._session.redeem(ticket, wait=max(wait or 0, A_PERSON_S))
        tool, args = self._asked[ticket]
        self._audience.called(tool, args, outcome)
        return outcome

    def _ask(self, ticket: str) -> None:
        queue = self._runtime.queue
        card = queue.asked(ticket).card
        said = self._audience.answer(card, queue.look(ticket))
        if said is None:
            self._audience.waits(card, f"{self._address}/queue/{ticket}")
            return
        # Whoever watches the demo is shown the destination, and does not have to type it.
        answer(self._runtime.ledger, ticket, approve=said.approve, reason=said.reason, confirm=card.confirm)


class Preset(StrEnum):
    """What stops for a person."""

    STRICT = "strict"
    PROVENANCE = "provenance"


def set_the_stage(folder: Path, preset: Preset = Preset.STRICT) -> Settings:
    """Copy the example into an empty folder, and return its settings.

    Args:
        folder: where to.
        preset: which of its two presets the policy has.

    Raises:
        SettingsError: the folder is not empty, or a variable would lead the demo out of it.
    """
    stray = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in OF_THE_MACHINE)
    if stray:
        raise SettingsError(f"{', '.join(stray)}: unset it for the demo, which has settings of its own")
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty; the demo starts in a new folder")
    source = Path(str(importlib.import_module(MODULE).__file__)).parent
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    policy = folder / "policy.toml"
    policy.write_text(policy.read_text().replace('\nname = "strict"\n', f'\nname = "{preset}"\n'))
    return Settings.load(folder / "pratique.toml")


async def _as_far_as_here(settings: Settings, audience: Audience) -> Settings:
    """Return the settings, without the tools that run code where this machine gives no jail."""
    ladder = Ladder(warm=0)
    try:
        await ladder.open([Level.JAIL])
    except SandboxUnavailableError as refused:
        audience.say(f"This machine gives no jail, so the agent runs no code here: {refused}", "dim")
        return settings.model_copy(update={"tools": tuple(name for name in settings.tools if name != CODE)})
    finally:
        await ladder.aclose()
    return settings


async def play(settings: Settings, audience: Audience, *, clean: bool, hijacked: bool) -> Played:
    """Let the agent run, as it was meant, hijacked, or one after the other."""
    agent: Any = importlib.import_module(MODULE)
    acts: list[tuple[str, Callable[[Any], Awaitable[str]]]] = []
    settings = await _as_far_as_here(settings, audience)
    as_meant = partial(agent.run, runs_code=CODE in settings.tools)
    acts += [("The agent as it was meant", as_meant)] if clean else []
    acts += [("The same agent, hijacked by a mail", agent.run_hijacked)] if hijacked else []
    traces = []
    async with open_runtime(settings) as runtime, serving(runtime, settings, USER) as door:
        audience.opens_door(door.address, door.link)
        for title, run in acts:
            audience.begins(title, agent.REQUEST)
            async with door.agent.session(
                agent="support",
                user=USER,
                request=agent.REQUEST,
                model=agent.MODEL,
                inputs={"mailbox": "support@acme.example", "example": title},
            ) as session:
                output = await run(Watched(session, runtime, audience, door.address))
                session.finish(output)
            audience.ends(output)
            traces.append(_trace(runtime, session.id))
        await audience.lingers(door.address)
        return Played(traces, runtime.ledger.read(queries.head))


def questions(trace: dict[str, Any]) -> dict[str, int]:
    """Return how many calls of a run each preset stops, by what was found of them; the denied ones apart."""
    calls = [call for call in trace["tool_calls"] if call["decision"] != "deny"]
    writes = [call for call in calls if Tier(call["tier"]).rank >= Tier.WRITE.rank]
    leaves = [call for call in calls if call["tier"] == Tier.EGRESS]
    seen = [call for call in leaves if call["taint"] != Taint.NONE]
    tainted = [call for call in (*writes, *leaves) if call["taint"] == Taint.SINK]
    return {Preset.STRICT: len(writes) + len(seen), Preset.PROVENANCE: len(tainted)}


def what_changed(settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return what the runs left in the world: mail that went out, drafts, and payments."""
    roots = {name: settings.path(folder) for name, folder in settings.roots.items()}
    return {
        "sent": [_letter(path) for path in sorted(roots["outbox"].glob("*.eml"))],
        "drafted": [_letter(path) for path in sorted(roots["drafts"].glob("*.eml"))],
        "paid": [json.loads(path.read_bytes()) for path in sorted(roots["payments"].glob("*.json"))],
    }


def _letter(path: Path) -> dict[str, str]:
    message = message_from_bytes(path.read_bytes(), policy=default)
    return {"to": str(message["To"]), "subject": str(message["Subject"])}


def _trace(runtime: Runtime, session: str) -> dict[str, Any]:
    return runtime.ledger.read(lambda connection: trace(connection, runtime.ledger, session))
