"""A `Mailbox` in mbox files beneath a file root: one file per folder. Nothing is written.

Rules (RFC 4155; `mboxrd` for quoting):
- A message begins at a line `From ` at the start of the file or after an empty line. `>From ` at a line's
  beginning loses one `>`.
- An id is the folder and a digest of the message without the fields in which mail programs keep flags
  (`Status`, `X-Status`, and others), so it stays when somebody reads it. Equal messages are numbered.
- The newest message is the last in the file. Its arrival is what its `From ` line says.
- The whole file is read for each call, so it may not be larger than `LARGEST_FILE`.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from pratique.errors import ToolError
from pratique.tools import mailbox_files
from pratique.tools.context import Files
from pratique.tools.email_headers import iso
from pratique.tools.files_refusal import in_words
from pratique.tools.mailbox import HEAD, LARGEST_MESSAGE, Entry, Flag, Page, Stored, inbox_or
from pratique.tools.mailbox_search import Query

LARGEST_FILE = 128 * 1024 * 1024

_BEGINS = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]*(?:\n|\Z)")
_QUOTED = re.compile(rb"(?m)^>(>*From )")
_KEPT_BY_PROGRAMS = re.compile(
    rb"(?mi)^(?:x-)?(?:status|uid|imap|imapbase|keywords):[^\n]*\n(?:[ \t][^\n]*\n)*"
)
_STATUS = re.compile(rb"(?mi)^(?:x-)?status:[ \t]*([A-Z]*)")
_FLAGS: dict[bytes, Flag] = {b"R": "seen", b"A": "answered", b"F": "flagged"}
_FOLDER = re.compile(r"[^\x00-\x1f/\x7f.][^\x00-\x1f/\x7f]{0,199}")
_ASCTIME = re.compile(rb"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")


class Letter(NamedTuple):
    """A message of the file."""

    id: str
    date: str | None
    content: bytes

    @property
    def entry(self) -> Entry:
        """What the port says of it."""
        head = self.content[:HEAD]
        return Entry(self.id, self.date, _flags(head), len(self.content), head)


class Mbox:
    """A `Mailbox` beneath a file root.

    Args:
        files: the root's handle; each file directly beneath it is a folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def list(self, folder: str, limit: int, before: str | None) -> Page:
        """Return a folder's newest messages, or those older than `before`."""
        letters = self._letters(folder)
        return mailbox_files.page(inbox_or(folder), letters, limit, before, lambda letter: letter.entry)

    def search(self, folder: str, query: Query, limit: int, before: str | None) -> Page:
        """Return the newest messages that match."""
        letters = self._letters(folder)
        return mailbox_files.search(
            inbox_or(folder), letters, query, limit, before, lambda letter: (letter.entry, letter.content)
        )

    def read(self, identity: str) -> Stored:
        """Return a message."""
        letter = self._find(identity)
        return Stored(letter.entry, letter.content[:LARGEST_MESSAGE])

    def flags(self, identity: str) -> tuple[Flag, ...]:
        """Return a message's flags."""
        return self._find(identity).entry.flags

    def _find(self, identity: str) -> Letter:
        return mailbox_files.find(self._letters(identity.rpartition("/")[0]), identity)

    def _letters(self, folder: str) -> tuple[Letter, ...]:
        """Return a folder's messages, newest first."""
        name = inbox_or(folder)
        if not _FOLDER.fullmatch(name):
            raise ToolError(f"{folder!r} cannot be the name of a mail folder")
        with in_words(f"the mail folder {folder!r}"):
            data = self._files.read(name, LARGEST_FILE)
        return tuple(reversed(list(_split(name, data))))


def _split(folder: str, data: bytes) -> Iterator[Letter]:
    """Yield the messages of a file in its order."""
    begins = list(_BEGINS.finditer(data))
    ends = [match.start() for match in begins[1:]] + [len(data)] * bool(begins)
    met: Counter[str] = Counter()
    for begin, end in zip(begins, ends, strict=True):
        content = _QUOTED.sub(rb"\1", _without_separator(data[begin.end() : end]))
        digest = hashlib.sha256(_lasting(content)).hexdigest()[:32]
        met[digest] += 1
        again = f".{met[digest]}" if met[digest] > 1 else ""
        yield Letter(f"{folder}/{digest}{again}", _arrival(begin[0]), content)


def _without_separator(content: bytes) -> bytes:
    """Take off the one empty line that stands before the next message and belongs to the file."""
    for end in (b"\r\n\r\n", b"\n\n"):
        if content.endswith(end):
            return content[: -len(end) // 2]
    return content


def _head(content: bytes) -> bytes:
    match = re.search(rb"\n\r?\n", content[:HEAD])
    return content[: match.start() + 1] if match else content[:HEAD]


def _lasting(content: bytes) -> bytes:
    """Return the message without what mail programs keep changing in it."""
    head = _head(content)
    return _KEPT_BY_PROGRAMS.sub(b"", head) + content[len(head) :]


def _flags(head: bytes) -> tuple[Flag, ...]:
    letters = b"".join(_STATUS.findall(_head(head)))
    return tuple(sorted({flag for letter, flag in _FLAGS.items() if letter in letters}))


def _arrival(line: bytes) -> str | None:
    """Return when a message arrived: the asctime of its `From ` line, which is in UTC (RFC 4155)."""
    match = _ASCTIME.search(line)
    if not match:
        return None
    try:
        return iso(datetime.strptime(match[0].decode(), "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC))
    except ValueError:
        return None
