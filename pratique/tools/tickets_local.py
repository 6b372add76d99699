"""Tickets in a folder on this machine.

Rules:
- One folder per ticket. `ticket.json` is how it began and is never written here; `comments/` and `changes/`
  hold one file per event, and a ticket is what its beginning and its events add up to. So nothing is ever
  overwritten, no lock is needed, and two writers cannot lose each other's words.
- A change is later than every change that it has seen, whatever the clock says.
- A damaged file fails the calls that need its ticket, and names itself. Other tickets are not affected.

An attacker who can modify the folder can forge tickets and comments. What is read from it is foreign text.
"""

import errno
import re
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from pratique.errors import ToolError
from pratique.tools.context import Files
from pratique.tools.files_refusal import in_words
from pratique.tools.tickets_store import (
    Change,
    Comment,
    Listing,
    Opening,
    State,
    Ticket,
    TicketId,
    Unreadable,
)

LARGEST_FILE = 4 * 1024 * 1024

_KEY = re.compile(r"[a-z0-9]{1,64}")
_identity = TypeAdapter[str](TicketId)
_Kind = TypeVar("_Kind", bound=BaseModel)


class LocalTickets:
    """A `TicketStore` beneath a file root.

    Args:
        files: the root's handle; for `comment` and `change` it is a writable one.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def page(self, state: State | None, limit: int, after: str | None) -> Listing:
        """Return tickets by id; one that cannot be read is of any state."""
        with in_words("the ticket store"):
            entries = self._files.list()
        ids = [entry.path for entry in entries if entry.kind == "folder" and _is_id(entry.path)]
        lines = (self._line(identity) for identity in ids if after is None or identity > after)
        wanted = (
            line for line in lines if state is None or not isinstance(line, Ticket) or line.state == state
        )
        shown = [line for line, _ in zip(wanted, range(limit), strict=False)]
        more = len(shown) == limit and shown[-1].id != ids[-1]
        return Listing(len(ids), shown, shown[-1].id if more else None)

    def ticket(self, identity: str) -> Ticket:
        """Return a ticket as it stands: its beginning and all of its events."""
        began = self._opening(identity)
        changes = sorted(self._events(identity, "changes", Change), key=lambda change: change.time)
        comments = sorted(self._events(identity, "comments", Comment), key=lambda comment: comment.time)
        facts = began.model_dump()
        for change in changes:
            facts |= change.model_dump(exclude={"author", "time"}, exclude_none=True)
        times = [began.created, *(change.time for change in changes), *(said.time for said in comments)]
        return Ticket(**facts, updated=max(times), comments=tuple(comments))

    def comment(self, identity: str, key: str, comment: Comment) -> Ticket:
        """Add a comment; several may do so at once."""
        self._opening(identity)
        self._write_once(identity, "comments", key, comment)
        return self.ticket(identity)

    def change(self, identity: str, key: str, change: Change) -> Ticket:
        """Add a change; of two at the same moment the one with the later clock wins, and both are kept."""
        self._opening(identity)
        before = [earlier.time for earlier in self._events(identity, "changes", Change)]
        if before and change.time <= max(before):
            change = change.model_copy(update={"time": max(before) + timedelta(microseconds=1)})
        self._write_once(identity, "changes", key, change)
        return self.ticket(identity)

    def _line(self, identity: str) -> Ticket | Unreadable:
        try:
            return self.ticket(identity)
        except ToolError as problem:
            return Unreadable(identity, str(problem))

    def _opening(self, identity: str) -> Opening:
        if not _is_id(identity):
            raise ToolError(f"{identity!r} cannot be a ticket's id")
        with in_words(f"the ticket {identity!r}"):
            began = self._load(f"{identity}/ticket.json", Opening)
        if began.id != identity:
            raise ToolError(f"the ticket {identity!r} is damaged: its file names another id")
        return began

    def _events(self, identity: str, kind: str, model: type[_Kind]) -> list[_Kind]:
        """Return the events of one kind, in the order of their keys."""
        with in_words(f"the {kind} of the ticket {identity!r}"):
            try:
                entries = self._files.list(f"{identity}/{kind}")
            except FileNotFoundError:
                return []
            return [self._load(entry.path, model) for entry in entries if entry.path.endswith(".json")]

    def _load(self, path: str, model: type[_Kind]) -> _Kind:
        data = self._files.read(path, LARGEST_FILE)
        try:
            return model.model_validate_json(data)
        except ValidationError as problem:
            where = ".".join(str(part) for part in problem.errors()[0]["loc"]) or "not JSON"
            raise OSError(errno.EBADMSG, f"{path} is damaged: {where}", path) from None

    def _write_once(self, identity: str, kind: str, key: str, event: BaseModel) -> None:
        if not _KEY.fullmatch(key):
            raise ToolError(f"{key!r} cannot name an event")
        with in_words(f"the {kind} of the ticket {identity!r}"):
            try:
                data = event.model_dump_json(exclude_none=True, indent=2).encode()
                self._files.write(f"{identity}/{kind}/{key}.json", data, replace=False)
            except FileExistsError:
                return  # this very call has been here before


def _is_id(name: str) -> bool:
    try:
        _identity.validate_python(name)
    except ValidationError:
        return False
    return True
