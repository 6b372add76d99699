"""Roundup's items as its REST interface gives them, of the template `classic`, and what they are to us.

Rules:
- A tracker's states and priorities are mapped to ours by name. Of several that mean the same to us, the first
  is the one that is set.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pratique.tools.tickets_store import Priority, State

STATES: dict[str, State] = {
    "unread": "new",
    "in-progress": "open",
    "chatting": "open",
    "testing": "open",
    "need-eg": "pending",
    "deferred": "pending",
    "done-cbb": "solved",
    "resolved": "closed",
}
PRIORITIES: dict[str, Priority] = {
    "critical": "urgent",
    "urgent": "high",
    "bug": "normal",
    "feature": "low",
    "wish": "low",
}
ISSUE_FIELDS = "title,status,priority,creator,assignedto,creation,activity,messages,files"
MESSAGE_FIELDS = "author,date,creation,content"


def _moment(value: Any) -> datetime:
    """Read Roundup's `2026-11-23.13:27:06`, which is in UTC."""
    return datetime.strptime(str(value)[:19], "%Y-%m-%d.%H:%M:%S").replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(_moment)]
Id = Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Link(_Item):
    """Another item, by its id and, where it has one, its name."""

    id: Id
    name: str = ""
    username: str = ""


class Issue(_Item):
    """An issue in a list."""

    id: Id
    title: str | None
    status: Link | None
    priority: Link | None
    creator: Link
    assignedto: Link | None
    creation: Moment
    activity: Moment
    messages: tuple[Link, ...]
    files: tuple[Link, ...]


class Versioned(_Item):
    """An issue by itself, with the version that a change must name."""

    id: Id
    version: str = Field(alias="@etag")
    issue: dict[str, Any] = Field(alias="attributes")

    @property
    def read(self) -> Issue:
        """The issue."""
        return Issue.model_validate({**self.issue, "id": self.id})


class Message(_Item):
    """A message of an issue."""

    id: Id
    author: Link
    date: Moment | None = None
    creation: Moment
    content: str | None

    @property
    def time(self) -> datetime:
        """When it was said."""
        return self.date or self.creation


class File(_Item):
    """A file of an issue."""

    id: Id
    name: str | None = None
    type: str | None = None


class Issues(_Item):
    """A list of issues."""

    collection: tuple[Issue, ...]


class Messages(_Item):
    """A list of messages."""

    collection: tuple[Message, ...]


class Files(_Item):
    """A list of files."""

    collection: tuple[File, ...]


class Ids(_Item):
    """A list of ids."""

    collection: tuple[Link, ...]


class Made(_Item):
    """What was made."""

    id: Id
