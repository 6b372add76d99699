"""Reads header fields: decoded, bounded, and never with an exception.

Rules:
- A value is cut to a length before anything interprets it: the address parser's time grows with its square.
- An address is what the standard library's RFC 5322 parser says it is. A display name is text that the
  sender chose, and is kept apart from the address.
- Raw 8-bit bytes are UTF-8 (RFC 6532) or else windows-1252.
"""

from datetime import UTC, datetime
from email.header import decode_header
from email.headerregistry import AddressHeader, HeaderRegistry
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import NamedTuple, cast

from pratique.tools.email_parts import decode

LONGEST = 2048
LONGEST_LIST = 8192
MOST_ADDRESSES = 100

_registry = HeaderRegistry()


class Mailbox(NamedTuple):
    """An address and the name that was written before it."""

    address: str
    name: str


class Addresses(NamedTuple):
    """The addresses of one field, and what was wrong with it."""

    found: list[Mailbox]
    problems: list[str]


def raw_field(message: Message, name: str, longest: int = LONGEST) -> tuple[str, list[str]]:
    """Return the first field of that name, unfolded and cut, and what was wrong with it."""
    for key, value in message.raw_items():
        if key.lower() == name:
            unfolded = "".join(str(value).splitlines())
            data = unfolded[:longest].encode("utf-8", "surrogateescape")
            problems = [f"{name}: cut at {longest:,} characters"] if len(unfolded) > longest else []
            characters, problem = decode(data, "")
            return characters, problems + ([f"{name}: {problem}"] if problem else [])
    return "", []


def words(message: Message, name: str) -> tuple[str, list[str]]:
    """Return a field of free text (Subject), with its encoded words (RFC 2047) decoded."""
    value, problems = raw_field(message, name)
    characters, trouble = encoded_words(value)
    return characters, problems + [f"{name}: {problem}" for problem in trouble]


def encoded_words(value: str) -> tuple[str, list[str]]:
    """Decode the encoded words of a value of bounded length."""
    try:
        pieces = decode_header(value)
    except Exception:  # noqa: BLE001  # documented are HeaderParseError only, seen are others
        return _one_line(value), ["encoded words that cannot be decoded"]
    read = [
        (piece, "") if isinstance(piece, str) else decode(piece, charset or "") for piece, charset in pieces
    ]
    return _one_line("".join(characters for characters, _ in read)), [
        problem for _, problem in read if problem
    ]


def addresses(message: Message, name: str) -> Addresses:
    """Return the addresses of a field (From, To, Cc, Reply-To)."""
    value, problems = raw_field(message, name, LONGEST_LIST)
    if not value.strip():
        return Addresses([], problems)
    if len(value) >= LONGEST_LIST:
        value = value.rpartition(",")[0]  # what was cut through would be another address
    try:
        header = cast("AddressHeader", _registry(name, value))
        found = [Mailbox(_one_line(one.addr_spec), _one_line(one.display_name)) for one in header.addresses]
    except Exception:  # noqa: BLE001  # the address parser has raised many kinds on hostile input
        return Addresses([Mailbox("", _one_line(value))], [*problems, f"{name}: cannot be read as addresses"])
    return _judged(name, found, problems)


def moment(message: Message, name: str = "date") -> tuple[str | None, list[str]]:
    """Return a date field as ISO 8601 in UTC, or None."""
    value, problems = raw_field(message, name, 128)
    if not value.strip():
        return None, [*problems, f"{name}: missing"]
    try:
        return iso(parsedate_to_datetime(value)), problems
    except Exception:  # noqa: BLE001  # ValueError is documented; OverflowError, TypeError were seen
        return None, [*problems, f"{name}: cannot be read"]


def iso(when: datetime) -> str:
    """Return a moment as `2026-11-20T09:14:00Z`; one without a zone counts as UTC (RFC 5322, 3.3: -0000)."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _judged(name: str, found: list[Mailbox], problems: list[str]) -> Addresses:
    if any("@" not in one.address for one in found) or not found:
        problems = [*problems, f"{name}: holds something that is no address"]
    if len(found) > MOST_ADDRESSES:
        problems = [*problems, f"{name}: {len(found) - MOST_ADDRESSES} more addresses are not listed"]
    return Addresses(found[:MOST_ADDRESSES], problems)


def _one_line(value: str) -> str:
    """Return the value as one line of JSON-safe text."""
    return " ".join(decode(value.encode("utf-8", "surrogateescape"), "")[0].split())
