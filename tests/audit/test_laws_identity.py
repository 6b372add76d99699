"""Every law of people, logins and keys, broken once."""

from typing import Any

import pytest

from pratique.audit.laws_identity import IDENTITY
from pratique.audit.legality import illegal

SECOND = 1_000_000
LI = {"person": "li@acme.example", "by": "local:root"}
WHO = {"session": "s1", "trace_id": "t" * 32, "agent": "support", "tenant": "default"}
NONE = {"epoch": 0, "policy_digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}

Records = list[dict[str, Any]]


def legal() -> Records:
    """A history in which each happens as it may."""
    records: Records = [
        {"type": "person.add", **LI},
        {"type": "person.roles", **LI},
        {"type": "person.link", **LI, "link": "k1", "ends_us": 60 * SECOND},
        {"type": "login.open", **LI, "login": "l1", "link": "k1"},
        {"type": "person.password", **LI},
        {"type": "login.open", **LI, "login": "l2", "link": ""},
        {"type": "login.close", **LI, "login": "l2"},
        {"type": "login.refuse", **LI},
        {"type": "key.issue", "key": "a1", "agent": "support", "ends_us": 60 * SECOND},
        {"type": "session.open", **WHO, **NONE, "writer": "w1", "api_key": "a1"},
        {"type": "session.resume", **WHO, "writer": "w2"},
        {"type": "key.revoke", "key": "a1"},
        {"type": "person.disable", **LI},
        {"type": "person.enable", **LI},
    ]
    for number, record in enumerate(records, 1):
        record.update(seq=number, ts_us=number * SECOND)
    return records


MOVES: dict[str, tuple[str, Any, str]] = {
    "an account twice": ("add 1 2", None, "had an account already"),
    "roles of nobody": ("change 2", {"person": "mo"}, "mo has no account"),
    "a link for nobody": ("change 3", {"person": "mo"}, "mo has no account"),
    "a link twice": ("add 3 3", None, "was given before"),
    "a login of nobody": ("change 6", {"person": "mo"}, "mo has no account"),
    "a login of who is disabled": ("add 6 13", {"login": "l9"}, "a disabled account"),
    "a login twice": ("add 6 6", None, "was opened before"),
    "a link that is used twice": ("add 4 4", {"login": "l9"}, "could still use"),
    "a link that nobody gave": ("drop 3", None, "could still use"),
    "a link from before a new password": ("add 4 5", {"login": "l9"}, "could still use"),
    "a link that is too old": ("change 4", {"ts_us": 61 * SECOND}, "used too late"),
    "the end of a login that ended with a new password": ("add 7 5", {"login": "l1"}, "that is open"),
    "the end of another's login": ("change 7", {"person": "mo"}, "not a login of mo"),
    "a password of who is disabled": ("add 5 13", None, "a disabled account"),
    "an account that is disabled twice": ("add 13 13", None, "a disabled account"),
    "an account that is enabled twice": ("add 14 14", None, "was not disabled"),
    "a key twice": ("add 9 9", None, "was issued before"),
    "a key that is revoked twice": ("add 12 12", None, "not a key in force"),
    "a session by a key that nobody issued": ("drop 9", None, "that is in force"),
    "a session by another agent's key": ("change 10", {"agent": "other"}, "not a key of other"),
    "a session by a key that had expired": ("change 10", {"ts_us": 61 * SECOND}, "had expired"),
    "a session that goes on after its key was revoked": ("add 11 12", None, "was over"),
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
    assert set(IDENTITY) <= {record["type"] for record in legal()}


@pytest.mark.parametrize("name", MOVES)
def test_each_law_is_broken_once_and_it_is_said(name: str) -> None:
    move, more, words = MOVES[name]
    found = [one.problem for one in illegal(changed(move, more))]
    assert any(words in problem for problem in found), found
