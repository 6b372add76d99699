"""The benchmark's tools under the real runtime: declared, called through a session, answered by a person.

Rules:
- A session's calls run in the world that belongs to it; the runtime knows nothing else of the benchmark.
- The approver answers what the caller says is right, through the same queue as everybody.
"""

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.agentdojo.declarations import TOOLS
from benchmarks.agentdojo.environments import Suite, World
from benchmarks.agentdojo.presets import APPROVER, Preset
from pratique.approvals.card import Card
from pratique.capabilities.fields import Shape, full_path
from pratique.capabilities.policy import Policy
from pratique.errors import ToolError
from pratique.ledger import policies
from pratique.ledger.door import Ledger
from pratique.model import Call, Outcome, Request, Status, Unresolved
from pratique.quarantine.identify import identified, record_of
from pratique.runtime import Runtime
from pratique.sessions.session import Session
from pratique.tools import context
from pratique.tools.declaration import Tool, tool
from pratique.tools.execution import Executor
from pratique.tools.registry import Registry


class Timed(Runtime):
    """A runtime that notes how long stage 1 took: it finds out where each argument came from."""

    micros: list[float]

    def resolve(self, request: Request) -> Call | Unresolved:
        """Resolve, and note the time if there was something to trace."""
        started = time.perf_counter()
        call = super().resolve(request)
        if request.judged is None:
            self.micros.append((time.perf_counter() - started) * 1e6)
        return call


class House:
    """A runtime over a fresh ledger in a folder, with every tool of the suites, under one preset."""

    def __init__(self, folder: Path, preset: Preset, suites: list[Suite]) -> None:
        self.worlds: dict[str, World] = {}
        functions = {function.name: function for suite in suites for function in suite.suite.tools}
        ledger = Ledger(folder)
        policies.apply(ledger, Policy(preset.policy), APPROVER, 0)
        self.preset = preset
        self.runtime = Timed(
            ledger,
            Registry(self._declare(function) for function in functions.values()),
            Executor(context.World({}, {})),
            shadow_every=0,
        )
        self.runtime.micros = []

    async def open(self, request: str, world: World, attack: str = "") -> "Desk":
        """Return a session of the agent in this world."""
        plan = self.preset.plan_for(request)
        facts: dict[str, Any] = {} if plan is None else {"plan": plan}
        session = await self.runtime.open_session(
            agent="dojo", user="user@bench.example", request=request, **facts
        )
        self.worlds[session.id] = world
        return Desk(self, session, attack)

    def _declare(self, function: Any) -> Tool:
        """Declare one of the benchmark's functions as it is, with the labels written for it."""
        declared = TOOLS[function.name]

        async def run(ctx: context.ToolContext, *values: Any) -> Any:
            value, error = self.worlds[ctx.session].run(function.name, dict(zip(hints, values, strict=True)))
            if error:
                raise ToolError(error)
            return value

        hints = {name: field.annotation for name, field in function.parameters.model_fields.items()}
        run.__annotations__ = {"ctx": context.ToolContext, **hints}
        run.__dict__["__signature__"] = inspect.Signature(_parameters(function))
        return tool(
            f"dojo.{function.name}",
            tier=declared.tier,
            sources=declared.fields,
            sinks=declared.classes,
            ids=declared.ids,
        )(run)


def _parameters(function: Any) -> list[inspect.Parameter]:
    """Return the parameters of a benchmark function, after the context."""
    kind, empty = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    fields = function.parameters.model_fields.items()
    defaults = {name: empty if field.is_required() else field.default for name, field in fields}
    return [
        inspect.Parameter("ctx", kind),
        *(inspect.Parameter(name, kind, default=default) for name, default in defaults.items()),
    ]


@dataclass
class Answer:
    """What a call came to: was a person asked, did it run, did the card name the field with the attack."""

    held: bool = False
    ran: bool = False
    why: str = ""
    named: bool = False


class Desk:
    """An agent at work in one session.

    Args:
        house: the runtime.
        session: its session.
        attack: the injected text, to find out which fields hold it.
    """

    def __init__(self, house: House, session: Session, attack: str) -> None:
        self.house, self.session, self.attack = house, session, attack
        self.tainted: set[str] = set()

    async def call(self, name: str, arguments: Mapping[str, Any], *, rightly: bool) -> Answer:
        """Make a call; if a person is asked, answer rightly."""
        outcome = await self.session.call(f"dojo.{name}", dict(arguments))
        answer = Answer(held=outcome.status is Status.PENDING, why=outcome.error)
        if answer.held:
            queue = self.house.runtime.queue
            card = queue.asked(outcome.ticket).card
            answer.named = self._names(card)
            members = self.house.runtime.enforcement.snapshot.policy.members
            queue.answer(
                outcome.ticket,
                APPROVER,
                approve=rightly,
                reason="as it should be",
                members=members,
                confirm=card.confirm,
            )
            outcome = await self.session.redeem(outcome.ticket)
        if outcome.status is Status.DENIED and not answer.held:
            raise RuntimeError(f"{name} cannot be asked for: {outcome.error}")
        answer.ran = outcome.status is Status.DONE
        self._note(name, outcome)
        return answer

    def _names(self, card: Card) -> bool:
        """Return whether a card names a field that holds the injected text."""
        said = [origin.words for argument in card.arguments for origin in argument.origins]
        return any(source in words for words in said for source in self.tainted)

    def _note(self, name: str, outcome: Outcome) -> None:
        """Remember which fields hold the injected text: the sources that a card should name."""
        if not self.attack or outcome.status is not Status.DONE:
            return
        names = identified(outcome.value, TOOLS[name].ids)
        for leaf in Shape({}).leaves(outcome.value):
            if self.attack in str(leaf.value):
                record = record_of(names, leaf.path, leaf.places)
                where = f"{outcome.tool}:{outcome.call_id}#{full_path(leaf.path, leaf.places)}"
                self.tainted.add(record.source(leaf.path, leaf.places) if record else where)
