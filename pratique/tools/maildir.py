"""A `Mailbox` in a Maildir, seen through a file handle. Nothing is moved or marked.

Rules (cr.yp.to/proto/maildir.html; Maildir++ for folders):
- A message is a file in `new` or `cur`; `tmp` and names with a leading dot are not read. Flags follow `:2,`.
- An id is the folder and the name without its flags, so it stays when somebody reads or answers the message.
  Whatever bytes the name has, it is printable: all others are percent-encoded.
- Newest first goes by the delivery time in the name, which the receiving machine wrote.
- Whatever is no plain file is listed with a problem, and never opened.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from pratique.errors import ToolError
from pratique.sandbox.beneath import Entry as File
from pratique.tools import mailbox_files
from pratique.tools.context import Files
from pratique.tools.email_headers import iso
from pratique.tools.files_refusal import in_words
from pratique.tools.mailbox import HEAD, INBOX, LARGEST_MESSAGE, Entry, Flag, Page, Stored, inbox_or
from pratique.tools.mailbox_search import Query

_FLAGS: dict[str, Flag] = {"F": "flagged", "R": "answered", "S": "seen"}
_FOLDER = re.compile(r"[^\x00-\x1f./\x7f][^\x00-\x1f/\x7f]{0,199}")
_DELIVERED = re.compile(r"(\d{1,11})\.")


class Letter(NamedTuple):
    """A message's file: where it is, what its name tells, and why it may not be opened, if so."""

    id: str
    path: str
    delivered: int
    flags: tuple[Flag, ...]
    size: int
    problem: str

    def entry(self, head: bytes = b"", problem: str = "") -> Entry:
        """Return what the port says of it."""
        date = iso(datetime.fromtimestamp(self.delivered, UTC)) if self.delivered else None
        return Entry(self.id, date, self.flags, self.size, head, problem or self.problem)


class Maildir:
    """A `Mailbox` beneath a file root.

    Args:
        files: the root's handle; `cur` and `new` of the inbox are directly beneath it.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def list(self, folder: str, limit: int, before: str | None) -> Page:
        """Return a folder's newest messages, or those older than `before`."""
        return mailbox_files.page(inbox_or(folder), self._letters(folder), limit, before, self._entry)

    def search(self, folder: str, query: Query, limit: int, before: str | None) -> Page:
        """Return the newest messages that match; each is read for it."""
        letters = self._letters(folder)
        return mailbox_files.search(inbox_or(folder), letters, query, limit, before, self._opened)

    def read(self, identity: str) -> Stored:
        """Return a message."""
        letter = self._find(identity)
        if letter.problem:
            raise ToolError(f"the message {identity!r} cannot be read: {letter.problem}")
        with in_words(f"the message {identity!r}"):
            return Stored(letter.entry(), self._files.head(letter.path, LARGEST_MESSAGE))

    def flags(self, identity: str) -> tuple[Flag, ...]:
        """Return a message's flags."""
        return self._find(identity).flags

    def folders(self) -> tuple[str, ...]:
        """Return the names of all folders, the inbox first."""
        below = [entry.path for entry in self._files.list() if entry.kind == "folder"]
        return (INBOX, *sorted(name[1:].replace(".", "/") for name in below if _FOLDER.fullmatch(name[1:])))

    def _letters(self, folder: str) -> tuple[Letter, ...]:
        place = _place(folder)
        name = INBOX if not place else folder
        with in_words("the mailbox"):
            found = [_letter(name, file) for file in self._entries(folder, place)]
        return tuple(sorted(found, key=lambda letter: (letter.delivered, letter.id), reverse=True))

    def _find(self, identity: str) -> Letter:
        return mailbox_files.find(self._letters(identity.rpartition("/")[0]), identity)

    def _entry(self, letter: Letter) -> Entry:
        return self._opened(letter, HEAD)[0]

    def _opened(self, letter: Letter, most: int = LARGEST_MESSAGE) -> tuple[Entry, bytes]:
        """Return an entry and the file's beginning; a file that cannot be opened has a problem instead."""
        if letter.problem:
            return letter.entry(), b""
        try:
            raw = self._files.head(letter.path, most)
        except OSError as error:
            return letter.entry(problem=error.strerror or "cannot be opened"), b""
        return letter.entry(raw[:HEAD]), raw

    def _entries(self, folder: str, place: str) -> Iterator[File]:
        missing = 0
        for name in ("cur", "new"):
            try:
                entries = self._files.list(f"{place}{name}")
            except FileNotFoundError:
                missing += 1
                continue
            yield from (entry for entry in entries if not entry.path.rpartition("/")[2].startswith("."))
        if missing == 2:  # noqa: PLR2004  # neither cur nor new
            raise ToolError(
                f"no mail folder is called {folder!r}; there are: {', '.join(self.folders()[:50])}"
            )


def _place(folder: str) -> str:
    """Return the path of a folder, with its slash; empty for the inbox."""
    if folder.lower() == INBOX:
        return ""
    name = folder.replace("/", ".")
    if not _FOLDER.fullmatch(name):
        raise ToolError(f"{folder!r} cannot be the name of a mail folder")
    return f".{name}/"


def _letter(folder: str, entry: File) -> Letter:
    unique, _, flags = entry.path.rpartition("/")[2].partition(":2,")
    delivered = _DELIVERED.match(unique)
    return Letter(
        id=f"{folder}/{quote(unique.encode('utf-8', 'surrogateescape'), safe=',=+@:')}",
        path=entry.path,
        delivered=int(delivered[1]) if delivered else 0,
        flags=tuple(sorted(_FLAGS[letter] for letter in set(flags) & _FLAGS.keys())),
        size=entry.size,
        problem=_refusal(entry),
    )


def _refusal(entry: File) -> str:
    if entry.kind == "link":
        return "a symbolic link, which is not followed"
    if entry.kind != "file":
        return f"not a file but a {entry.kind}" if entry.kind == "folder" else "not a regular file"
    return "the file has a second name (hard link)" if entry.links > 1 else ""
