"""A tool as another program's MCP server defines it, digested whole. Pure.

Rules:
- The digest is SHA-256 over the RFC 8785 form of name, title, description, both schemas and annotations,
  together with the digest of the server's configuration. Change any of them, and it is another tool.
- What of a listing is not in the digest (icons, `_meta`) is dropped: nobody is ever shown it.
- Annotations are a server's own word: they can raise a tier and never lower it. What a hint that is given
  leaves open is read as the protocol reads it: what does not only read is destructive, unless it says no.
"""

import hashlib
from functools import cached_property
from typing import Annotated, Any, Final

import orjson
from pydantic import Field

from pratique.audit.canonical import canonical
from pratique.model import Tier, Value
from pratique.proxy.naming import MOST_NAME

LARGEST: Final = 64 * 1024
"""Bytes of a definition's canonical form."""

DEEPEST: Final = 24
"""Containers inside each other in a definition."""

LONGEST_DESCRIPTION: Final = 16 * 1024


class Definition(Value):
    """One tool of one configured server. A field that the server left out is None.

    Attributes:
        config: digest (hex) of how the server is configured.
        name: what the server calls it.
    """

    config: str
    name: Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
    title: str | None
    description: Annotated[str, Field(max_length=LONGEST_DESCRIPTION)] | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    annotations: dict[str, Any] | None

    @cached_property
    def text(self) -> bytes:
        """The canonical form that is digested, and kept beside the log."""
        return canonical(_body(self), most_bytes=LARGEST, deepest=DEEPEST)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the text."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def at_least(self) -> Tier:
        """The lowest tier that a person may give it, by the hints that say that it does more than read.

        A server that gives no such hint has said nothing: then it is the person's word alone. One that says
        `readOnlyHint: false` has said that it changes something, and `destructiveHint` is true by default;
        `destructiveHint` itself is only said of what changes something, unless it says that it only reads
        (MCP specification of 2026-07-28, ToolAnnotations).
        """
        hints = self.annotations or {}
        reads, destroys = hints.get("readOnlyHint"), hints.get("destructiveHint")
        if destroys is True or (reads is False and destroys is not False):
            return Tier.IRREVERSIBLE
        if destroys is False and reads is not True:
            return Tier.WRITE
        return Tier.EGRESS if hints.get("openWorldHint") is True else Tier.READ

    def parts(self) -> dict[str, Any]:
        """Return what a person compares, by name, without the configuration."""
        body = _body(self)
        del body["config"]
        return body


class Unusable(Value):
    """Something that a server lists as a tool and that cannot be one.

    Attributes:
        name: what the server calls it.
        problem: why not, in one line.
    """

    name: str
    problem: str


class Listing(Value):
    """What a server lists now.

    Attributes:
        config: digest of the configuration under which it was looked at.
        tools: what it lists, by its own names.
        nameless: how many entries have no name to go by.
        least: the lowest tier of any of them: what is handed to a server elsewhere leaves the house.
    """

    config: str
    tools: dict[str, Definition | Unusable]
    nameless: int = 0
    least: Tier = Tier.READ


def kept_definition(text: bytes) -> Definition:
    """Return a definition from its text, as it is kept beside the log.

    Raises:
        ValueError: it is not such a text.
    """
    body = orjson.loads(text)
    return Definition(**{field: body[key] for key, field in _KEYS.items()})


_KEYS: Final = {
    "config": "config",
    "name": "name",
    "title": "title",
    "description": "description",
    "inputSchema": "input_schema",
    "outputSchema": "output_schema",
    "annotations": "annotations",
}


def _body(of: Definition) -> dict[str, Any]:
    return {key: getattr(of, field) for key, field in _KEYS.items()}
