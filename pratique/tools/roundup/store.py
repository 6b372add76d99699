"""A `TicketStore` on a Roundup tracker.

Rules:
- The first message of an issue is the ticket's text, the others are its comments. Of a long ticket the newest
  `MOST_READ` comments are fetched.
- What is written is a message whose Message-ID is made of the key, by the user of the tracker that has the
  address of the user for whom the agent acts. A repeat finds it and adds nothing, even when the first attempt
  ended between message and issue.
- A change of state or assignee is written together with a message that says who set what.
- A change that meets a newer version is refused. A comment is added to the newer one: it takes nothing away.
"""

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from pratique.errors import ToolError
from pratique.tools.roundup.items import (
    ISSUE_FIELDS,
    MESSAGE_FIELDS,
    PRIORITIES,
    STATES,
    File,
    Files,
    Ids,
    Issue,
    Issues,
    Link,
    Made,
    Message,
    Messages,
    Versioned,
)
from pratique.tools.roundup.rest import ChangedMeanwhileError, MissingError, Rest
from pratique.tools.tickets_store import (
    Attachment,
    Change,
    Comment,
    Listing,
    Priority,
    State,
    Ticket,
    Unreadable,
)

MOST_READ = 200
MOST_FILES = 200
LONGEST_TITLE = 1000
ATTEMPTS = 3
_AT_ONCE = 50


class RoundupTickets:
    """A `TicketStore`; its methods run in a worker thread.

    Args:
        rest: the tracker's interface.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def page(self, state: State | None, limit: int, after: str | None) -> Listing:
        """Return tickets by number; those of one state are found by the tracker."""
        everything = self._ids(None)
        ids = everything if state is None else self._ids(state)
        rest = [identity for identity in ids if after is None or int(identity) > _number(after)]
        shown = rest[:limit]
        tickets = [_summary(issue) for issue in self._issues(shown)]
        return Listing(len(everything), tickets, shown[-1] if len(rest) > limit else None)

    def ticket(self, identity: str) -> Ticket:
        """Return a ticket as it stands."""
        return self._whole(self._issue(identity).read)

    def comment(self, identity: str, key: str, comment: Comment) -> Ticket:
        """Add a comment, unless it is there."""
        said = None
        for attempt in range(1, ATTEMPTS + 1):
            found = self._issue(identity)
            said = said or self._said(key, comment.author, comment.body)
            try:
                self._apply(found, said, {})
                break
            except ChangedMeanwhileError:
                if attempt == ATTEMPTS:
                    raise
        return self.ticket(identity)

    def change(self, identity: str, key: str, change: Change) -> Ticket:
        """Set what is named, unless this very change was made before."""
        found = self._issue(identity)
        values = self._values(change)
        text = ", ".join(f"{name}: {value}" for name, value in _named(change))
        self._apply(found, self._said(key, change.author, f"Set {text}"), values)
        return self.ticket(identity)

    def attachment(self, identity: str, file: str) -> tuple[Attachment, bytes]:
        """Return a file of a ticket.

        Raises:
            ToolError: the ticket has no such file, or it cannot be had.
        """
        issue = self._issue(identity).read
        known = [one for one in self._files(issue) if one.id == file]
        if not known:
            raise ToolError(f"the ticket {identity!r} has no attachment {file!r}")
        return known[0], self._rest.content(f"file/{file}/binary_content")

    def _apply(self, found: Versioned, said: str, values: dict[str, str]) -> None:
        """Put a message and changes to an issue in one step, unless the message is there."""
        messages = [message.id for message in found.read.messages]
        if said not in messages:
            self._rest.patch(f"issue/{found.id}", {**values, "messages": [*messages, said]}, found.version)

    def _said(self, key: str, author: str, text: str) -> str:
        """Return the id of the message of that key, which is written if it is not there."""
        name = f"<{key}@pratique>"
        there = self._rest.get("msg", [("messageid:", name)], Ids).collection
        if there:
            return there[0].id
        item = {"content": text, "messageid": name, "author": self._user(author)}
        return self._rest.post("msg", item, Made).id

    def _user(self, address: str) -> str:
        """Return the id of the tracker's user with that address."""
        found = self._rest.get("user", [("address:", address)], Ids).collection
        if len(found) != 1:
            raise ToolError(f"the ticket tracker has no user with the address {address!r}")
        return found[0].id

    def _values(self, change: Change) -> dict[str, str]:
        values = {}
        if change.state is not None:
            values["status"] = _first(STATES, change.state)
        if change.priority is not None:
            values["priority"] = _first(PRIORITIES, change.priority)
        if change.assignee is not None:
            values["assignedto"] = self._user(change.assignee)
        return values

    def _issue(self, identity: str) -> Versioned:
        _number(identity)
        try:
            found = self._rest.get(
                f"issue/{identity}", [("@fields", ISSUE_FIELDS), ("@verbose", "2")], Versioned
            )
            _ = found.read
        except MissingError:
            raise ToolError(f"the ticket {identity!r} does not exist") from None
        except ValidationError:
            raise ToolError("the ticket tracker's answer is not Roundup's") from None
        return found

    def _ids(self, state: State | None) -> list[str]:
        names = ",".join(name for name, ours in STATES.items() if ours == state)
        asked = [("@sort", "id"), *([("status", names)] if names else [])]
        return sorted((one.id for one in self._rest.get("issue", asked, Ids).collection), key=int)

    def _issues(self, ids: list[str]) -> Iterable[Issue]:
        """Yield issues by their number, some at a time."""
        for some in _portions(ids):
            asked = [*(("id", one) for one in some), ("@fields", ISSUE_FIELDS), ("@verbose", "2")]
            yield from sorted(
                self._rest.get("issue", asked, Issues).collection, key=lambda issue: int(issue.id)
            )

    def _whole(self, issue: Issue) -> Ticket:
        first, later = issue.messages[:1], issue.messages[1:]
        newest = later[-MOST_READ:] if later else ()
        read = self._messages([*first, *newest])
        body = read.get(first[0].id) if first else None
        comments = tuple(_comment(read[one.id]) for one in newest if one.id in read)
        return _ticket(issue).model_copy(
            update={
                "body": (body.content if body else None) or "",
                "comments": comments,
                "omitted": len(later) - len(comments),
                "attachments": self._files(issue),
            }
        )

    def _messages(self, links: Sequence[Link]) -> dict[str, Message]:
        """Return messages by their ids; the content comes with them."""
        found: dict[str, Message] = {}
        for some in _portions([link.id for link in links]):
            asked = [*(("id", one) for one in some), ("@fields", MESSAGE_FIELDS), ("@verbose", "3")]
            found |= {one.id: one for one in self._rest.get("msg", asked, Messages).collection}
        return found

    def _files(self, issue: Issue) -> tuple[Attachment, ...]:
        found: list[File] = []
        for some in _portions([link.id for link in issue.files[:MOST_FILES]]):
            asked = [*(("id", one) for one in some), ("@fields", "name,type")]
            found += self._rest.get("file", asked, Files).collection
        return tuple(Attachment(id=one.id, name=one.name or "", type=one.type or "") for one in found)


def _summary(issue: Issue) -> Ticket | Unreadable:
    try:
        return _ticket(issue)
    except ToolError as problem:
        return Unreadable(issue.id, str(problem))


def _ticket(issue: Issue) -> Ticket:
    """Return an issue as a ticket whose messages were not read."""
    status, priority = issue.status, issue.priority
    if status is not None and status.name not in STATES:
        raise ToolError("its status is none of those that this tool knows")
    return Ticket(
        id=issue.id,
        title=(issue.title or "")[:LONGEST_TITLE],
        reporter=issue.creator.username,
        body="",
        created=issue.creation,
        updated=issue.activity,
        state=STATES[status.name] if status else "new",
        priority=PRIORITIES.get(priority.name, "normal") if priority else "normal",
        # Not validated as ours is: whatever name the tracker has for them is their name.
        comments=(),
        omitted=max(0, len(issue.messages) - 1),
    ).model_copy(update={"assignee": issue.assignedto.username if issue.assignedto else None})


def _comment(message: Message) -> Comment:
    return Comment(author=message.author.username, time=message.time, body=message.content or "")


def _named(change: Change) -> list[tuple[str, str]]:
    given = (("state", change.state), ("priority", change.priority), ("assignee", change.assignee))
    return [(name, value) for name, value in given if value is not None]


def _first(names: dict[str, State] | dict[str, Priority], wanted: str) -> str:
    return next(name for name, ours in names.items() if ours == wanted)


def _portions(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _number(identity: str) -> int:
    if not (identity.isascii() and identity.isdecimal()):
        raise ToolError(f"{identity!r} cannot be a ticket's id here: they are numbers")
    return int(identity)
