"""A `Mailbox` on an IMAP server (RFC 9051; works with the older RFC 3501).

Rules:
- An id is folder, UIDVALIDITY and UID. When the server gave the folder a new UIDVALIDITY, old ids name
  nothing any more, and say so: they never come to mean another message.
- Messages are fetched by PEEK from a folder that was opened read-only: reading leaves no trace.
- A page is fetched by sequence numbers, so its cost does not grow with the folder. A search asks for
  `WINDOW` messages at a time, so that no answer is too long, and for `MOST_WINDOWS` windows at most.
"""

import imaplib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pratique.errors import ToolError
from pratique.tools.email_headers import iso
from pratique.tools.imap.search import criteria
from pratique.tools.imap.wire import Connection
from pratique.tools.imap.words import may_have_happened
from pratique.tools.mailbox import HEAD, INBOX, LARGEST_MESSAGE, Entry, Flag, Page, Stored, inbox_or
from pratique.tools.mailbox_search import Query

WINDOW = 10_000
MOST_WINDOWS = 20
MOST_FOLDERS_NAMED = 50
MOST_NEW = 200

FLAGS: dict[bytes, Flag] = {rb"\seen": "seen", rb"\answered": "answered", rb"\flagged": "flagged"}
_ID = re.compile(r"(.+)/([0-9]{1,10})\.([0-9]{1,10})")
_FACTS = [b"UID", b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"]
_BODY = b"BODY[]<0>"

Entries = list[Entry]
Numbers = list[int]
Items = list[bytes]


class Name(NamedTuple):
    """A message's id, taken apart."""

    folder: str
    validity: int
    uid: int


class Folder(NamedTuple):
    """An open folder."""

    name: str
    validity: int
    exists: int

    def id(self, uid: int) -> str:
        """Return the id of one of its messages."""
        return f"{self.name}/{self.validity}.{uid}"


class ImapMailbox:
    """A `Mailbox` on one connection.

    Args:
        connection: one that is logged in.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, folder: str, limit: int, before: str | None) -> Page:
        """Return a folder's newest messages, or those older than `before`."""
        opened = self.open(folder)
        last = self._older_than(opened, before)
        first = max(1, last - limit + 1)
        entries = self._numbered(opened, range(first, last + 1))
        return Page(opened.name, opened.exists, entries, entries[-1].id if first > 1 and entries else None)

    def search(self, folder: str, query: Query, limit: int, before: str | None) -> Page:
        """Return the newest messages that the server says match."""
        opened = self.open(folder)
        end = self._older_than(opened, before)
        found: Numbers = []
        for _ in range(MOST_WINDOWS):
            if end < 1 or len(found) > limit:
                break
            begin = max(1, end - WINDOW + 1)
            asked, charset = criteria(query)
            uids = self._connection.search([f"{begin}:{end}", *asked], charset)
            found += sorted(uids, reverse=True)
            end = begin - 1
        entries = self._entries(opened, self._fetch(found[:limit], [*_FACTS, _peek(HEAD)]))
        return Page(opened.name, opened.exists, entries, self._left_off(opened, found, limit, end))

    def read(self, identity: str) -> Stored:
        """Return a message."""
        name = parse(identity)
        opened = self.open_for(name)
        fetched = self._fetch([name.uid], [*_FACTS, _peek(LARGEST_MESSAGE)])
        if name.uid not in fetched:
            raise ToolError(f"no message has the id {identity!r}")
        [entry] = self._entries(opened, fetched)
        return Stored(entry, bytes(fetched[name.uid][_BODY] or b""))

    def flags(self, identity: str) -> tuple[Flag, ...]:
        """Return a message's flags."""
        name = parse(identity)
        self.open_for(name)
        fetched = self._fetch([name.uid], [b"FLAGS"])
        if name.uid not in fetched:
            raise ToolError(f"no message has the id {identity!r}")
        return _flags(fetched[name.uid])

    def set_flags(self, identity: str, add: Iterable[Flag], remove: Iterable[Flag]) -> tuple[Flag, ...]:
        """Set and take away flags, and return those that stand then.

        Raises:
            ToolError: there is no such message, or the folder cannot be written.
        """
        name = parse(identity)
        self.open_for(name, writable=True)
        with may_have_happened():
            for change, words in ((self._connection.add_flags, add), (self._connection.remove_flags, remove)):
                flags = [rf"\{word.capitalize()}" for word in words]
                if flags:
                    change([name.uid], flags, silent=True)
        return self.flags(identity)

    def up_to(self, opened: Folder, identity: str, *, itself: bool = True) -> int:
        """Return how many messages of a folder are no newer than the one of that id, which may be gone.

        Args:
            opened: the folder.
            identity: the id.
            itself: whether the message itself counts.

        Raises:
            ToolError: it is no id of this folder.
        """
        name = parse(identity)
        if name.folder != opened.name or name.validity != opened.validity:
            raise ToolError(f"no message of this folder has the id {identity!r}")
        fetched = self._fetch([name.uid], [b"UID"])
        if name.uid in fetched:
            return int(fetched[name.uid][b"SEQ"]) - (0 if itself else 1)
        return self._bisect(name.uid, opened.exists)

    def since(self, opened: Folder, known: int) -> Page:
        """Return what arrived after the first `known` messages, newest first, 200 at most."""
        again = self.open(opened.name)
        first = max(known, again.exists - MOST_NEW) + 1
        return Page(again.name, again.exists, self._numbered(again, range(first, again.exists + 1)), None)

    def open(self, folder: str, *, writable: bool = False) -> Folder:
        """Open a folder.

        Raises:
            ToolError: there is none of that name, or it has no UIDs to rely on.
        """
        name = inbox_or(folder)
        if not name or not name.isprintable():
            raise ToolError(f"{folder!r} cannot be the name of a mail folder")
        try:
            status = self._connection.select_folder(_on_the_wire(name), readonly=not writable)
        except imaplib.IMAP4.readonly:
            raise ToolError(f"the mail folder {folder!r} cannot be changed") from None
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            there = "" if writable else self._folders()  # a tool that writes passes on no text from outside
            raise ToolError(f"no mail folder is called {folder!r}{there}") from None
        if not status.get(b"UIDVALIDITY"):
            raise ToolError(f"the mail server gives no lasting ids in the folder {folder!r}")
        return Folder(name, status[b"UIDVALIDITY"], status[b"EXISTS"])

    def open_for(self, name: Name, *, writable: bool = False) -> Folder:
        """Open the folder of a message, if it is still the folder that its id speaks of.

        Raises:
            ToolError: as `open`, or it is another one by now.
        """
        opened = self.open(name.folder, writable=writable)
        if opened.validity != name.validity:
            raise ToolError(f"the folder {name.folder!r} was made anew and its ids changed: list it again")
        return opened

    def _folders(self) -> str:
        known = self._connection.list_folders()
        names = [inbox_or(name) for flags, _, name in known if b"\\Noselect" not in flags]
        return f"; there are: {', '.join(names[:MOST_FOLDERS_NAMED])}"

    def _older_than(self, opened: Folder, before: str | None) -> int:
        """Return the number of the newest message that is older than `before`."""
        return opened.exists if before is None else self.up_to(opened, before, itself=False)

    def _bisect(self, uid: int, exists: int) -> int:
        """Return how many messages have a smaller UID than one that is gone."""
        low, high = 0, exists
        while low < high:
            middle = (low + high + 1) // 2
            if self._uid_at(middle) < uid:
                low = middle
            else:
                high = middle - 1
        return low

    def _left_off(self, opened: Folder, found: Numbers, limit: int, end: int) -> str | None:
        if len(found) > limit:
            return opened.id(found[limit - 1])
        return opened.id(self._uid_at(end + 1)) if end >= 1 else None

    def _uid_at(self, number: int) -> int:
        return int(self._by_number([number], [b"UID"])[number][b"UID"])

    def _numbered(self, opened: Folder, numbers: range) -> Entries:
        """Return the entries of a range of sequence numbers, newest first."""
        fetched = self._by_number(list(numbers), [*_FACTS, _peek(HEAD)])
        return self._entries(opened, {int(data[b"UID"]): data for data in fetched.values()})

    def _entries(self, opened: Folder, fetched: dict[int, Any]) -> Entries:
        return [_entry(opened, uid, fetched[uid]) for uid in sorted(fetched, reverse=True)]

    def _fetch(self, uids: Numbers, what: Items) -> dict[int, Any]:
        return self._connection.fetch(uids, what) if uids else {}

    def _by_number(self, numbers: Numbers, what: Items) -> dict[int, Any]:
        self._connection.use_uid = False
        try:
            return self._connection.fetch(numbers, what) if numbers else {}
        finally:
            self._connection.use_uid = True


def parse(identity: str) -> Name:
    """Take an id apart.

    Raises:
        ToolError: it is none.
    """
    match = _ID.fullmatch(identity)
    if match is None:
        raise ToolError(f"no message has the id {identity!r}")
    return Name(inbox_or(match[1]), int(match[2]), int(match[3]))


def _on_the_wire(folder: str) -> str:
    return "INBOX" if folder == INBOX else folder


def _peek(size: int) -> bytes:
    return b"BODY.PEEK[]<0.%d>" % size


def _flags(data: dict[bytes, Any]) -> tuple[Flag, ...]:
    return tuple(sorted({FLAGS[flag.lower()] for flag in data[b"FLAGS"] if flag.lower() in FLAGS}))


def _entry(opened: Folder, uid: int, data: dict[bytes, Any]) -> Entry:
    arrived = data[b"INTERNALDATE"]
    return Entry(
        id=opened.id(uid),
        date=iso(arrived) if arrived else None,
        flags=_flags(data),
        size=int(data[b"RFC822.SIZE"]),
        head=bytes(data[_BODY] or b"")[:HEAD],
    )
