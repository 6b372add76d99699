"""Promise: what rows mean is gone through for every outcome of a condition, an error being one of them."""

from dataclasses import dataclass

import pytest

from pratique.capabilities.meaning import Answer, Case, Demand, Meaning, Word, answer, cases, words

DEMAND = Demand("leads", frozenset({"li@x"}), 1, 3600, 900)
CONDITION = "amount <= 50"


@dataclass(frozen=True)
class Rows:
    """One row of each kind that a test needs."""

    allow = Meaning("allow", 0, 0, "", None, None)
    allow_when = Meaning("allow", 0, 0, CONDITION, None, None)
    counted = Meaning("allow", 0, 20, "", None, ("e", 3))
    ask_when = Meaning("ask", 0, 0, CONDITION, DEMAND, None)
    deny_when = Meaning("deny", 0, 0, CONDITION, None, None)


def outcomes(*rows: Meaning) -> dict[bool | None, Word]:
    return {outcome: answer(rows, Case(10, {CONDITION: outcome})).word for outcome in (True, False, None)}


def test_an_error_matches_no_allow() -> None:
    assert outcomes(Rows.allow_when) == {True: Word.ALLOW, False: Word.DENY, None: Word.DENY}


def test_an_error_matches_every_ask_and_deny() -> None:
    assert outcomes(Rows.allow, Rows.ask_when) == {True: Word.ASK, False: Word.ALLOW, None: Word.ASK}
    assert outcomes(Rows.allow, Rows.deny_when) == {True: Word.DENY, False: Word.ALLOW, None: Word.DENY}


def test_an_error_can_come_to_what_neither_true_nor_false_does() -> None:
    """An uncounted allow and an ask under one condition, beside a counted exception."""
    rows = (Rows.counted, Rows.allow_when, Rows.ask_when)
    asked, counted = frozenset({DEMAND}), frozenset({("e", 3)})
    found = {case.outcomes[CONDITION]: answer(rows, case) for case in cases(rows) or () if case.now == 0}
    assert found == {
        True: Answer(Word.ASK, asked),
        False: Answer(Word.ALLOW, grants=counted),
        None: Answer(Word.ASK, asked, counted),
    }


def test_each_side_of_every_border_of_a_window_is_a_case() -> None:
    window = Meaning("allow", 10, 20, "", None, None)
    assert [case.now for case in cases([window], [Rows.counted]) or ()] == [0, 10, 20]
    assert words([window]) == ("allow", "deny")


def test_what_no_row_allows_is_denied() -> None:
    assert words([]) == ("deny",)
    assert words([Rows.ask_when]) == ("deny",)


@pytest.mark.parametrize("most", [2_500, 0])
def test_the_words_are_the_same_when_there_are_too_many_cases_to_go_through(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pratique.capabilities.meaning.MOST_CASES", most)
    assert words([Rows.allow]) == ("allow",)
    assert words([Rows.allow, Rows.ask_when]) == ("allow", "ask")
    assert words([Rows.counted, Rows.ask_when]) == ("allow", "ask", "deny")
    assert words([Rows.allow, Rows.deny_when]) == ("allow", "deny")


def test_a_question_that_asks_nobody_waits_for_nothing() -> None:
    assert (Answer(Word.ALLOW).wait, Answer(Word.ALLOW).use_within) == (0, 0)
    other = DEMAND._replace(wait=60, use_within=1200)
    both = Answer(Word.ASK, frozenset({DEMAND, other}))
    assert (both.wait, both.use_within) == (60, 900)
    assert len(both.people) == 1
