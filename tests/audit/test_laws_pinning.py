"""Every law of other programs' tools, broken once; and no call of one without its approval."""

from typing import Any

import pytest

from pratique.audit.laws_pinning import PINNING
from pratique.audit.legality import illegal

SECOND = 1_000_000
BY = {"by": "ana@acme.example"}
FILES = {"server": "files", **BY}
READ = {"name": "read", "tool": "files.read"}
WHO = {"session": "s1", "trace_id": "t" * 32, "agent": "support", "tenant": "default"}
NONE = {"epoch": 0, "policy_digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
CALL = {
    **WHO,
    **NONE,
    "call_id": "c1",
    "digest": "d1",
    "tool": "files.read",
    "tool_digest": "x",
    "tier": "egress",
    "pin": "p1",
    "effect": "allow",
    "rules": ["r"],
    "ticket": "",
    "approved_by": [],
    "writer": "w1",
    "grants": [],
}

Records = list[dict[str, Any]]


def seen(before: str, digest: str, least: str = "egress", **more: Any) -> dict[str, Any]:
    facts = {"config": "c1", "before": before, "digest": digest, "least": least, "problem": ""}
    return {"type": "mcp.seen", **FILES, **READ, **facts, **more}


def legal() -> Records:
    """A history in which each happens as it may."""
    records: Records = [
        {"type": "mcp.add", **FILES, "config": "c1"},
        seen("", "p1"),
        {"type": "mcp.approve", **FILES, **READ, "digest": "p1", "tier": "egress"},
        {"type": "session.open", **WHO, **NONE, "writer": "w1", "api_key": ""},
        {"type": "call.intent", **CALL},
        {"type": "call.outcome", **CALL, "outcome": "done", "intent": 5},
        seen("p1", "p2"),
        {"type": "mcp.refuse", **FILES, **READ, "digest": "p2"},
        seen("p2", "", ""),
        {"type": "mcp.remove", **FILES},
        {"type": "mcp.add", **FILES, "config": "c1"},
    ]
    for number, record in enumerate(records, 1):
        record.update(seq=number, ts_us=number * SECOND)
    return records


MOVES: dict[str, tuple[str, Any, str]] = {
    "a server twice": ("add 1 2", None, "was added before"),
    "a server that nobody added": ("change 1", {"by": ""}, "nobody says who"),
    "the end of no server": ("add 10 10", None, "not a server that was added"),
    "a tool of no server": ("drop 1", None, "not a server that was added"),
    "a tool of a server as it was configured before": (
        "change 2",
        {"config": "c0"},
        "with this configuration",
    ),
    "a tool that does not follow what was seen": ("change 7", {"before": "p0"}, "does not follow"),
    "a tool that changed to what it was": ("change 7", {"digest": "p1"}, "did not change"),
    "a tool that has a definition and a problem": ("change 2", {"problem": "x"}, "cannot be used"),
    "an approval of a digest that was never seen": (
        "change 3",
        {"digest": "p9"},
        "not the one that was seen last",
    ),
    "an approval of what was there before": ("add 3 7", None, "not the one that was seen last"),
    "an approval of a tool that is gone": ("add 3 9", {"digest": ""}, "not the one that was seen last"),
    "an approval by nobody": ("change 3", {"by": ""}, "nobody says who"),
    "an approval below what the server says": (
        "change 3",
        {"tier": "read"},
        "its server says that it is egress",
    ),
    "a refusal of what was never seen": ("change 8", {"digest": "p9"}, "not the one that was seen last"),
    "a refusal of a tool that is gone": ("add 8 9", {"digest": ""}, "does not list"),
    "a refusal by nobody": ("change 8", {"by": ""}, "nobody says who"),
    "a call that nobody approved": ("drop 3", None, "nobody had approved that definition"),
    "a call of another definition": ("change 5", {"pin": "p2"}, "nobody had approved that definition"),
    "a call without a definition": ("change 5", {"pin": ""}, "nobody had approved that definition"),
    "a call at another tier": ("change 5", {"tier": "read"}, "it was approved as egress"),
    "a call after the tool changed": ("add 5 7", {"call_id": "c2"}, "nobody had approved that definition"),
    "a call after the server went": ("add 5 10", {"call_id": "c2"}, "a server that is not there"),
    "a call of a tool that came back, unapproved": ("add 5 11", {"call_id": "c2"}, "nobody had approved"),
}


def changed(move: str, more: Any) -> Records:
    records, (what, *numbers) = legal(), move.split()
    places = [int(number) - 1 for number in numbers]
    if what == "change":
        records[places[0]].update(more)
    elif what == "drop":
        del records[places[0]]
    else:
        records.insert(places[1] + 1, {**records[places[0]], "seq": 99, **(more or {})})
    return records


def test_a_legal_history_is_legal_and_tries_every_law() -> None:
    assert list(illegal(legal())) == []
    assert set(PINNING) <= {record["type"] for record in legal()}


@pytest.mark.parametrize("name", MOVES)
def test_each_law_is_broken_once_and_it_is_said(name: str) -> None:
    move, more, words = MOVES[name]
    found = [one.problem for one in illegal(changed(move, more))]
    assert any(words in problem for problem in found), found


def test_a_call_needs_its_intent_even_if_it_only_reads() -> None:
    records = legal()
    read = {"type": "call.outcome", **CALL, "tier": "read", "outcome": "done", "seq": 6, "ts_us": 6 * SECOND}
    records[4:6] = [read]
    assert any("without an intent" in one.problem for one in illegal(records))
    assert any("without an intent" in one.problem for one in illegal([*records[:4], {**read, "pin": ""}]))
