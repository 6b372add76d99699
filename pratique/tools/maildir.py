"""A Maildir seen through a file handle: its folders and the messages in them. Nothing is moved or marked.

Rules (cr.yp.to/proto/maildir.html; Maildir++ for folders):
- A message is a file in `new` or `cur`; `tmp` and names with a leading dot are not read. Flags follow `:2,`.
- An id is the folder and the name without its flags, so it stays when somebody reads or answers the message.
  Whatever bytes the name has, it is printable: all others are percent-encoded.
- Newest first goes by the delivery time in the name, which the receiving machine wrote, never by `Date`,
  which the sender wrote.
- Whatever is no plain file is listed with a problem, and never opened.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from pratique.errors import ToolError
from pratique.sandbox.beneath import Entry
from pratique.tools.context import Files
from pratique.tools.email_headers import iso

INBOX = "inbox"
_FOLDER = re.compile(r"[^\x00-\x1f./\x7f][^\x00-\x1f/\x7f]{0,199}")
_DELIVERED = re.compile(r"(\d{1,11})\.")


class Letter(NamedTuple):
    """A message's file: where it is, what its name tells, and why it may not be opened, if so."""

    id: str
    path: str
    delivered: int
    unread: bool
    size: int
    problem: str

    @property
    def date(self) -> str | None:
        """When it was delivered, as ISO 8601 in UTC, if its name tells."""
        return iso(datetime.fromtimestamp(self.delivered, UTC)) if self.delivered else None


class Maildir:
    """The messages beneath a file root.

    Args:
        files: the root's handle; `cur` and `new` of the inbox are directly beneath it.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def letters(self, folder: str) -> list[Letter]:
        """Return a folder's messages, newest first.

        Raises:
            ToolError: there is no such folder.
        """
        place = _place(folder)
        name = INBOX if not place else folder
        found = [_letter(name, entry) for entry in self._entries(folder, place)]
        return sorted(found, key=lambda letter: (letter.delivered, letter.id), reverse=True)

    def find(self, identity: str) -> Letter:
        """Return the message of that id.

        Raises:
            ToolError: there is none.
        """
        folder = identity.rpartition("/")[0]
        for letter in self.letters(folder):
            if letter.id == identity:
                return letter
        raise ToolError(f"no message has the id {identity!r}")

    def folders(self) -> list[str]:
        """Return the names of all folders, the inbox first."""
        below = [entry.path for entry in self._files.list() if entry.kind == "folder"]
        return [INBOX, *sorted(name[1:].replace(".", "/") for name in below if _FOLDER.fullmatch(name[1:]))]

    def _entries(self, folder: str, place: str) -> Iterator[Entry]:
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


def _letter(folder: str, entry: Entry) -> Letter:
    unique, _, flags = entry.path.rpartition("/")[2].partition(":2,")
    delivered = _DELIVERED.match(unique)
    return Letter(
        id=f"{folder}/{quote(unique.encode('utf-8', 'surrogateescape'), safe=',=+@:')}",
        path=entry.path,
        delivered=int(delivered[1]) if delivered else 0,
        unread="S" not in flags,
        size=entry.size,
        problem=_refusal(entry),
    )


def _refusal(entry: Entry) -> str:
    if entry.kind == "link":
        return "a symbolic link, which is not followed"
    if entry.kind != "file":
        return f"not a file but a {entry.kind}" if entry.kind == "folder" else "not a regular file"
    return "the file has a second name (hard link)" if entry.links > 1 else ""
