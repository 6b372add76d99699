"""What the ticket tools need of a tracker: the port, and the values that cross it.

Rules:
- Another tracker implements `TicketStore`, and makes its tools of it with its own hosts and secrets.
- A store may leave out comments in the middle of a long ticket, and says how many.
- A write is named by the call that makes it: the first one under a key stands, a repeat changes nothing.
"""

from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

State = Literal["new", "open", "pending", "solved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]
Assignee = Annotated[str, Field(max_length=254, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$")]
TicketId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Comment(_Stored):
    """Something that somebody said in a ticket."""

    author: str
    time: AwareDatetime
    body: str


class Change(_Stored):
    """What somebody set; None is what they left as it was."""

    author: str
    time: AwareDatetime
    state: State | None = None
    priority: Priority | None = None
    assignee: Assignee | None = None


class Opening(_Stored):
    """A ticket as it began."""

    id: TicketId
    title: str
    reporter: str
    body: str
    created: AwareDatetime
    state: State = "new"
    priority: Priority = "normal"
    assignee: Assignee | None = None


class Attachment(_Stored):
    """A file that somebody put to a ticket: what it is called, not what is in it."""

    id: str
    name: str
    type: str


class Ticket(Opening):
    """A ticket as it stands, with what was said in it, oldest first; `omitted` comments are left out."""

    updated: AwareDatetime
    comments: tuple[Comment, ...]
    omitted: int = 0
    attachments: tuple[Attachment, ...] = ()


class Unreadable(NamedTuple):
    """A ticket that cannot be read, and why."""

    id: str
    problem: str


class Listing(NamedTuple):
    """Some tickets by id, comments left out; `total` counts all that there are, whatever their state."""

    total: int
    tickets: list[Ticket | Unreadable]
    next: str | None


class TicketStore(Protocol):
    """Reads and writes tickets. What it returns is on disk, or at the tracker, already."""

    def page(self, state: State | None, limit: int, after: str | None) -> Listing:
        """Return tickets of one state or all, those whose id comes after `after`.

        Raises:
            ToolError: the store cannot be read.
        """

    def ticket(self, identity: str) -> Ticket:
        """Return a ticket as it stands.

        Raises:
            ToolError: there is none, or it cannot be read.
        """

    def comment(self, identity: str, key: str, comment: Comment) -> Ticket:
        """Add a comment under a key, unless the key is taken, and return the ticket as it stands then.

        Raises:
            ToolError: there is no such ticket, or it cannot be written.
        """

    def change(self, identity: str, key: str, change: Change) -> Ticket:
        """Add a change under a key, unless the key is taken, and return the ticket as it stands then.

        Raises:
            ToolError: there is no such ticket, or it cannot be written.
        """
