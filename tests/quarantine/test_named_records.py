"""Which records a request names: a stranger cannot name theirs with a word of it."""

from typing import Any

import pytest

from pratique.model import Carried, Confidentiality, Integrity
from pratique.quarantine.provenance import Tracker
from pratique.quarantine.quoted import quoted

FIELDS = {
    "messages[].id": "meta:message",
    "messages[].from": "identity",
    "messages[].subject": "untrusted",
    "messages[].title": "meta",
}
REQUEST = "Go through the support inbox and answer the customers."


def inbox(subject: str, **more: Any) -> dict[str, Any]:
    usual = {"id": "m1", "from": "maria@cafe.example", "subject": "Broken grinder", "title": "one"}
    return {"messages": [usual, {"id": "m2", "from": "eve@evil.example", "subject": subject, **more}]}


def is_meant(tracker: Tracker) -> bool:
    [origin] = tracker.trace("mail.delete", {"id": "m2"}, {"id": "selector:message"})
    return origin.anchored


def seen(
    request: str, value: dict[str, Any], *, late: bool = False, carried: tuple[Carried, ...] = ()
) -> Tracker:
    tracker = Tracker()
    if not late:
        tracker.saw_request(request)
    tracker.saw_result("c1", "mail.list", value, FIELDS, arguments={}, classes={}, carried=carried)
    if late:
        tracker.saw_request(request)
    return tracker


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("subject", ["customers", "support inbox", "answer the customers", REQUEST])
def test_a_stranger_does_not_name_their_record_with_words_of_the_request(subject: str, late: bool) -> None:
    assert not is_meant(seen(REQUEST, inbox(subject), late=late))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("marks", ['""', "''", "``", "“”", "„“", "‘’", "«»", "»«", "‹›", "「」", "《》"])  # noqa: RUF001
def test_a_subject_that_the_request_quotes_names_its_record(marks: str, late: bool) -> None:
    request = f"Delete the mail {marks[0]}Kim's Order 12.{marks[1]}, please"
    assert is_meant(seen(request, inbox("Kim's order  12"), late=late))


def test_a_part_of_what_is_quoted_names_nothing() -> None:
    assert not is_meant(seen('Delete "the mail of customers"', inbox("customers")))


def test_a_name_that_the_system_wrote_counts_without_marks() -> None:
    assert is_meant(seen("Delete Order 12 now", inbox("Hello", title="Order 12")))


def test_a_system_s_name_into_which_we_wrote_a_stranger_s_text_is_a_stranger_s() -> None:
    carried = Carried(
        path="messages[1].title",
        text="customers",
        source="email:7#body",
        integrity=Integrity.UNTRUSTED,
        confidentiality=Confidentiality.PUBLIC,
    )
    assert is_meant(seen(REQUEST, inbox("Hello", title="customers")))
    assert not is_meant(seen(REQUEST, inbox("Hello", title="customers"), carried=(carried,)))


def test_an_apostrophe_quotes_nothing() -> None:
    assert quoted("don't ask the dogs' owner, isn't it") == []
    assert quoted("the 'customers' and \"A 'b' c!\"") == ["a 'b' c", "customers", "b"]
