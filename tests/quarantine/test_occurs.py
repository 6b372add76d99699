"""A value is in a trusted text only as a whole."""

import pytest

from pratique.quarantine.occurs import is_named, occurs, occurs_verbatim


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bob@example.com", "write to bob@example.com."),
        ("bob@example.com", "(bob@example.com)"),
        ("example.com", "look at https://example.com/ please"),
        ("example.com", "look at example.com, please"),
        ("new york", "in new york, ny"),
        ("report.docx", "file 'report.docx'"),
        ("spotify", "for spotify?"),
        ("/etc/hosts", "read /etc/hosts"),
    ],
)
def test_a_whole_value_counts(value: str, text: str) -> None:
    assert occurs(value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("example.com", "bob@example.com"),
        ("bob@example.co", "bob@example.com"),
        ("bob@example.com", "not-bob@example.com"),
        ("bob@example.com", "x+bob@example.com"),
        ("ob@example.com", "bob@example.com"),
        ("example.com", "example.com.evil.org"),
        ("example.com", "example.com/evil"),
        ("example.com", "example.com@evil.org"),
        ("example.com", "sub.example.com"),
        ("example.com", "https://example.com?q=1"),
        ("hosts", "/etc/hosts"),
        ("2024", "2024-05-30"),
        ("de89", "de8937"),
        ("", "anything"),
    ],
)
def test_a_part_of_something_longer_does_not(value: str, text: str) -> None:
    assert not occurs(value, text)


@pytest.mark.parametrize(("text", "pointed"), [
    ("delete file 13", True), ("ticket #13", True), ("id: 13.", True), ("the one called '13'", True),
    ("13 days ago", False), ("for 13 people", False),
])  # fmt: skip
def test_a_very_short_value_must_be_pointed_at(text: str, pointed: bool) -> None:
    assert occurs("13", text, shortest=4) is pointed


def test_verbatim_minds_the_case() -> None:
    assert occurs_verbatim("S3cret-x", "set it to S3cret-x.")
    assert not occurs_verbatim("s3cret-x", "set it to S3cret-x.")
    assert not occurs_verbatim("cret-x", "set it to S3cret-x.")
    assert not occurs_verbatim("", "text")


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("Eve", "Tell Eve that", True),
        ("Eve", "write to Bob, Eve.", True),
        ("Eve", "Eve is here", False),
        ("eve", "Tell eve that", False),
        ("Eve", "Tell Eve-mail", False),
        ("Eve", "Tell Everyone", False),
        ("Evelyn", "Tell Evelyn that", False),
    ],
)
def test_a_short_proper_name_counts_inside_a_sentence(name: str, text: str, named: bool) -> None:
    assert is_named(name, text) is named
