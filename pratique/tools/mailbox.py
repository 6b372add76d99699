"""What the mail tools need of a mailbox: the port, and the values that cross it.

Rules:
- Newest first goes by arrival at the mailbox, never by `Date`, which the sender wrote.
- An id stays the same when somebody reads, answers or flags the message, and never comes to mean another one.
- `Page.next` is where a page left off: given as `before`, the next page follows without a gap.
- What cannot be read has an entry too, and the entry says why.
"""

from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field

from pratique.tools.mailbox_search import Query

INBOX = "inbox"
HEAD = 64 * 1024
LARGEST_MESSAGE = 32 * 1024 * 1024

Flag = Literal["answered", "flagged", "seen"]
"""The flags of RFC 9051, 2.3.2 that people set and that destroy nothing."""

FLAGS: tuple[Flag, ...] = ("answered", "flagged", "seen")

FolderName = Annotated[str, Field(max_length=200)]
MessageRef = Annotated[str, Field(max_length=1000)]


class Entry(NamedTuple):
    """What is known of a message without reading it whole.

    Attributes:
        id: names it in this mailbox.
        date: when it arrived, ISO 8601 in UTC, if the mailbox tells.
        flags: those of `Flag` that are set, sorted.
        size: in bytes.
        head: the first `HEAD` bytes, empty where there is a problem.
        problem: why it cannot be read, or nothing.
    """

    id: str
    date: str | None
    flags: tuple[Flag, ...]
    size: int
    head: bytes
    problem: str = ""


class Page(NamedTuple):
    """Some messages of a folder, newest first; `total` counts all of the folder."""

    folder: str
    total: int
    entries: list[Entry]
    next: str | None


class Stored(NamedTuple):
    """A message and its bytes: all of them, or the first `LARGEST_MESSAGE`."""

    entry: Entry
    content: bytes


class Mailbox(Protocol):
    """Reads a mailbox. Nothing is moved or marked by it."""

    def list(self, folder: str, limit: int, before: str | None) -> Page:
        """Return a folder's newest messages, or those older than the message `before`.

        Raises:
            ToolError: there is no such folder or message, or the mailbox cannot be read.
        """

    def search(self, folder: str, query: Query, limit: int, before: str | None) -> Page:
        """Return the newest messages that match, of those older than `before`.

        The work is bounded: a page may hold fewer than `limit`, none even, and still have a `next`.

        Raises:
            ToolError: as `list`.
        """

    def read(self, identity: str) -> Stored:
        """Return a message.

        Raises:
            ToolError: there is none of that id, or it cannot be read.
        """

    def flags(self, identity: str) -> tuple[Flag, ...]:
        """Return a message's flags, sorted.

        Raises:
            ToolError: as `read`.
        """


def inbox_or(folder: str) -> str:
    """Return the folder's name; the inbox is called `inbox`, however it is written (RFC 9051, 5.1)."""
    return INBOX if folder.lower() == INBOX else folder
