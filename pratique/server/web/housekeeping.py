"""The rules of the house: who can call what, and the policy that says so."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from pratique.capabilities.explain import Reach, hints, who_can
from pratique.capabilities.manifest import AskRule, DenyRule, ExceptionRule
from pratique.capabilities.policy import Policy
from pratique.capabilities.rights import Right
from pratique.capabilities.selftest import run_tests
from pratique.ledger import tables as t
from pratique.server.door import Door, door
from pratique.server.web.pages import page
from pratique.server.web.who import PolicyReader, ToolsReader

router = APIRouter()


class Line(NamedTuple):
    """What an agent's calls of one tool come to, by how near text from outside came."""

    tool: str
    tier: str
    description: str
    words: list[tuple[str, ...]]
    rules: list[str]


class Reaches(NamedTuple):
    """An agent: whose it is, and what it can call."""

    owner: str
    description: str
    lines: list[Line]


class Rule(NamedTuple):
    """One rule of the policy, as a line of a table."""

    id: str
    effect: str
    to: str
    tools: tuple[str, ...]
    tier: str
    taint: str
    when: str


@router.get("/tools")
async def tools(request: Request, person: ToolsReader, tool: str = "*", agent: str = "") -> Response:
    """Return who can call what."""
    here = door(request)
    pattern = tool.strip() or "*"
    found = await anyio.to_thread.run_sync(lambda: dict(_reaches(here, pattern, agent)))
    snapshot = here.runtime.enforcement.snapshot
    return await page(
        request,
        person,
        "tools.html",
        title="Who can call what",
        here="/tools",
        by_agent=found.items(),
        agents=sorted(snapshot.policy.file.agents),
        agent=agent,
        pattern="" if pattern == "*" else pattern,
        epoch=snapshot.epoch,
    )


@router.get("/policy")
async def policy(request: Request, person: PolicyReader) -> Response:
    """Return the policy in force: its rules, who answers, its text, and those before it."""
    here = door(request)
    await here.runtime.enforcement.refresh()
    snapshot = here.runtime.enforcement.snapshot
    chosen = select(t.policies).order_by(t.policies.c.epoch.desc())
    history = await here.ledger.query(lambda connection: list(connection.execute(chosen)))
    said = await anyio.to_thread.run_sync(lambda: _hints(here, snapshot.policy))
    return await page(
        request,
        person,
        "policy.html",
        title="The policy in force",
        here="/policy",
        epoch=snapshot.epoch,
        digest=snapshot.policy.digest,
        applied=history[0] if history else None,
        history=history[1:],
        groups=sorted(snapshot.policy.file.groups.items()),
        rules=list(map(_rule, snapshot.policy.file.rules)),
        hints=said,
        text=snapshot.policy.text,
        may_replay=person.may(Right.AUDIT_READ),
    )


def _reaches(here: Door, pattern: str, agent: str) -> Iterator[tuple[str, Reaches]]:
    policy, registry = here.runtime.enforcement.snapshot.policy, here.runtime.registry
    declared = {one.capability.name: one.capability for one in registry}
    found = who_can(policy, declared.values(), pattern, here.ledger.clock())
    for name, of_agent in groupby(found, key=lambda one: one.agent):
        if agent and name != agent:
            continue
        lines = []
        for tool, of_tool in groupby(of_agent, key=lambda one: one.tool):
            reaches: list[Reach] = list(of_tool)
            rules = list(dict.fromkeys(rule for one in reaches for rule in one.rules))
            known = declared[tool]
            words = [one.words for one in reaches]
            lines.append(
                Line(tool, known.tier.value, known.description.split("\n")[0].replace("`", ""), words, rules)
            )
        stated = policy.file.agents[name]
        if lines:
            yield name, Reaches(stated.owner, stated.description, lines)


def _hints(here: Door, policy: Policy) -> list[Any]:
    tools = [one.capability for one in here.runtime.registry]
    return list(hints(policy, tools, run_tests(policy, here.runtime.registry), here.ledger.clock()))


def _rule(rule: Any) -> Rule:
    asks, denies = isinstance(rule, AskRule), isinstance(rule, DenyRule)
    bound = "at least" if asks or denies else "at most"
    told = [f"when {rule.when}"] if rule.when else []
    if asks:
        told.append(f"{rule.quorum} of {rule.approvers}, within {rule.wait}, used within {rule.use_within}")
    if denies and rule.reason:
        told.append(rule.reason)
    if isinstance(rule, ExceptionRule):
        told.append(f"until {rule.expires:%Y-%m-%d %H:%M} UTC, {rule.owner} owns it: {rule.reason}")
    return Rule(
        rule.id,
        "ask" if asks else "deny" if denies else "allow",
        rule.to,
        rule.tools,
        f"{bound} {rule.tier}",
        f"{bound} {rule.taint}",
        "; ".join(told),
    )
