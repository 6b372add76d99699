"""Small things that decide where things go are found in free text."""

import pytest

from pratique.quarantine.atoms import atoms, bare_link, is_link


@pytest.mark.parametrize(
    ("text", "atom"),
    [
        ("mail bob@example.org.", "bob@example.org"),
        ("see https://bit.ly/xyz, now", "https://bit.ly/xyz"),
        ("see www.evil-site.com!", "www.evil-site.com"),
        ("see evil.zip/load", "evil.zip/load"),
        ("see shop.example", "shop.example"),
        ("javascript:alert(1)", "javascript:alert"),
        ("//evil.org/x", "//evil.org/x"),
        ("to us133000000121212121212", "us133000000121212121212"),
        ("gb29 nwbk 6016 1331 9268 19", "gb29 nwbk 6016 1331 9268 19"),
        ("call +1 415-555-0101", "+1 415-555-0101"),
        ("card 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("key sk_live-9f8e7d6c", "sk_live-9f8e7d6c"),
    ],
)
def test_it_is_found(text: str, atom: str) -> None:
    assert atom in list(atoms(text))


@pytest.mark.parametrize(
    "text",
    [
        "see you on 2024-05-20",
        "in report.docx",
        "e.g. this",
        "note: this",
        "it costs 12.50",
        "at 10:30",
        "room 4 b",
    ],
)
def test_ordinary_text_has_none(text: str) -> None:
    assert not list(atoms(text))


def test_a_link_is_compared_without_its_web_scheme_alone() -> None:
    assert bare_link("https://example.com/") == bare_link("http://example.com") == "example.com"
    assert bare_link("file:///etc/passwd") == "file:///etc/passwd"
    assert is_link("example.com/x")
    assert not is_link("an example")
