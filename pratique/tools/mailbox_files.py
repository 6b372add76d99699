"""Pages and searches where the mailbox is files: everything is listed, and what is shown is opened.

Rules:
- Only what is on the page is opened. A search opens at most `MOST_LOOKED_AT` messages, then says where it is.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from pratique.errors import ToolError
from pratique.tools import email_reading
from pratique.tools.mailbox import Entry, Page
from pratique.tools.mailbox_search import MOST_LOOKED_AT, Query, holds, suits


class Named(Protocol):
    """Something that has an id."""

    @property
    def id(self) -> str:
        """Its id."""


_Letter = TypeVar("_Letter", bound=Named)


def page(
    folder: str, letters: Sequence[_Letter], limit: int, before: str | None, entry: Callable[[_Letter], Entry]
) -> Page:
    """Return the first `limit` of the letters that come after `before`."""
    rest = _after(letters, before)
    shown = rest[:limit]
    return Page(
        folder, len(letters), [entry(one) for one in shown], shown[-1].id if len(rest) > limit else None
    )


def search(
    folder: str,
    letters: Sequence[_Letter],
    query: Query,
    limit: int,
    before: str | None,
    content: Callable[[_Letter], tuple[Entry, bytes]],
) -> Page:
    """Return the first `limit` matches of those after `before`; `content` opens a letter."""
    found: list[Entry] = []
    rest = _after(letters, before)
    for place, letter in enumerate(rest):
        if len(found) == limit or place == MOST_LOOKED_AT:
            return Page(folder, len(letters), found, rest[place - 1].id)
        entry, raw = content(letter)
        if entry.problem or not suits(query, entry.date, seen="seen" in entry.flags):
            continue
        if holds(query, email_reading.full(raw)):
            found.append(entry)
    return Page(folder, len(letters), found, None)


def find(letters: Sequence[_Letter], identity: str) -> _Letter:
    """Return the letter of that id.

    Raises:
        ToolError: there is none.
    """
    for letter in letters:
        if letter.id == identity:
            return letter
    raise ToolError(f"no message has the id {identity!r}")


def _after(letters: Sequence[_Letter], before: str | None) -> Sequence[_Letter]:
    if before is None:
        return letters
    for place, letter in enumerate(letters):
        if letter.id == before:
            return letters[place + 1 :]
    raise ToolError(f"before: no message of this folder has the id {before!r}")
