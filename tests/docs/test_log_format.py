"""The page on the log's format names every type of record, and every field of it that the code writes."""

import ast
import inspect
import re
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest

from pratique import model
from pratique.audit import checkpoint, deciding, drafts, identity, pinning
from pratique.audit.laws import LAWS
from pratique.ledger import segments
from tests.house import House, answer, opened, records

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "log-format.md"
OF_ALL = {"v", "log", "seq", "prev", "ts_us", "type"}
FACTS = {
    "subject": "Subject",
    "capability": "Capability",
    "decision": "Decision",
    "ask": "Decision",
    "CLEAN": "Label",
}
"""Whose `facts` a name in the drafts stands for."""

SPREAD = {
    "recovery": {
        *("behind_us", "kept", "upto", "evidence", "by", "reason"),
        *("damaged", "damaged_bytes", "damaged_sha256"),
    },
    "erase.proposed": {"subject", "session", "call_id"},
    "erase": {"subject", "session", "call_id"},
    "hold.set": {f"of_{field}" for field in segments.Hold._fields},
}
"""Fields that a caller hands over by name."""


def keys_of(function: ast.AST) -> set[str]:
    """Return the fields that a function writes: of its dictionaries, but not of those within them."""
    within = {
        inner
        for outer in ast.walk(function)
        if isinstance(outer, ast.Dict)
        for value, key in zip(outer.values, outer.keys, strict=True)
        if key is not None
        for inner in ast.walk(value)
        if isinstance(inner, ast.Dict)
    }
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Dict) and node not in within:
            found |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
    return {str(key) for key in found}


def facts_of(name: str) -> set[str]:
    """Return the keys of the `facts` of a class of the model."""
    for node in ast.walk(ast.parse(inspect.getsource(model))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return set().union(*(keys_of(one) for one in node.body if getattr(one, "name", "") == "facts"))
    raise LookupError(name)


def written() -> dict[str, set[str]]:
    """Return the fields that the code writes, by type of record."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in (drafts, pinning, deciding, identity, checkpoint, segments):
        functions = {one.name: one for one in ast.walk(tree_of(module)) if isinstance(one, ast.FunctionDef)}
        for function in functions.values():
            for kind in kinds_of(function):
                found[kind] |= all_keys(function, functions)
    for kind, fields in SPREAD.items():
        found[kind] |= fields
    return {kind: fields - OF_ALL for kind, fields in found.items()}


def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def kinds_of(function: ast.AST) -> set[str]:
    """Return the types of the records that a function makes."""
    return {
        str(value.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "type" and isinstance(value, ast.Constant)
    }


def all_keys(function: ast.AST, functions: dict[str, ast.FunctionDef]) -> set[str]:
    """Return the fields that a function writes, and those that it takes from others."""
    found = keys_of(function)
    for node in ast.walk(function):
        for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
            if key is not None:
                continue
            if (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Name)
                and value.func.id in functions
            ):
                found |= all_keys(functions[value.func.id], functions)
            if isinstance(value, ast.Attribute) and value.attr == "facts":
                holder = value.value
                name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
                found |= facts_of(FACTS[name])
    return found


def documented() -> dict[str, set[str]]:
    """Return the fields that the page names, by type."""
    text = PAGE.read_text().partition("### Fields by type\n")[2].partition("\n## ")[0]
    groups = {
        name: fields(line) for name, line in re.findall(r"^\| \*(\w+)\* \| (.*) \|$", text, re.MULTILINE)
    }
    return {
        kind: fields(line).union(*(groups[name] for name in re.findall(r"\*(\w+)\*", line)))
        for kind, line in re.findall(r"^\| `([a-z]+(?:\.[a-z]+)?)` \| (.*) \|$", text, re.MULTILINE)
    }


def fields(line: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", line))


def test_every_type_of_record_is_on_the_page() -> None:
    assert set(documented()) == set(LAWS)
    assert set(written()) == set(LAWS), "what has a law is written somewhere"


@pytest.mark.parametrize("kind", sorted(LAWS))
def test_every_field_that_the_code_writes_is_on_the_page(kind: str) -> None:
    assert written()[kind] - documented()[kind] == set()


async def test_every_field_of_real_records_is_on_the_page(house: House) -> None:
    runtime = house.runtime()
    async with await opened(runtime, request="pay mo 5") as session:
        await session.call("desk.look", {"text": "x"})
        await session.call("no.such")
        pending = await session.call("desk.pay", {"to": "mo", "amount": 5}, why="they asked")
        answer(runtime, pending.ticket)
        await session.redeem(pending.ticket)
    known = documented()
    found = records(runtime.ledger)
    assert {record["type"] for record in found} >= {"call.intent", "approval.proposed", "session.close"}
    for record in found:
        assert set(record) - OF_ALL - known[record["type"]] == set(), record["type"]
