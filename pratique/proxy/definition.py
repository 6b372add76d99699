"""A tool as another program's MCP server defines it: read strictly, digested whole. Pure.

Rules:
- Nothing that a server lists is believed. What is too large, too deep, not JSON or of another form is
  `Unusable`, with the reason; it never becomes a tool.
- The digest is SHA-256 over the RFC 8785 form of name, title, description, both schemas and annotations,
  together with the digest of the server's configuration. Change any of them, and it is another tool.
- What of a listing is not in the digest (icons, `_meta`) is dropped: nobody is ever shown it.
- Annotations are a server's own word: they can raise a tier and never lower it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique.audit.canonical import canonical
from pratique.errors import CanonicalError
from pratique.model import Tier, Value, clip
from pratique.proxy.naming import MOST_NAME, local_name

LARGEST: Final = 64 * 1024
"""Bytes of a definition's canonical form."""

DEEPEST: Final = 24
"""Containers inside each other in a definition."""

MOST_TOOLS: Final = 256
"""Tools of one server that are looked at; a server that lists more has none that can be used."""

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
        """The lowest tier that a person may give it, by the hints that say that it does more than read."""
        hints = self.annotations or {}
        if hints.get("destructiveHint") is True:
            return Tier.IRREVERSIBLE
        if hints.get("readOnlyHint") is False:
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
    """What a server lists now, tool by tool, by the server's own names; `nameless` have no name to go by."""

    config: str
    tools: dict[str, Definition | Unusable]
    nameless: int = 0


class _Hints(BaseModel):
    """The form of annotations. What the protocol does not have is kept, and means nothing to us."""

    model_config = ConfigDict(strict=True, extra="allow")

    title: str | None = None
    readOnlyHint: bool | None = None  # noqa: N815  # the protocol's spelling
    destructiveHint: bool | None = None  # noqa: N815
    idempotentHint: bool | None = None  # noqa: N815
    openWorldHint: bool | None = None  # noqa: N815


class _Listed(BaseModel):
    """The form of a tool in a listing. What it has beside that is dropped."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
    title: str | None = None
    description: Annotated[str, Field(max_length=LONGEST_DESCRIPTION)] | None = None
    inputSchema: dict[str, Any]  # noqa: N815  # the protocol's spelling
    outputSchema: dict[str, Any] | None = None  # noqa: N815
    annotations: _Hints | None = None


def read_listing(config: str, server: str, listed: Iterable[Any]) -> Listing:
    """Return what a server lists, each tool as a definition or as unusable.

    Args:
        config: digest of the server's configuration.
        server: its name here.
        listed: the tools as the protocol has them, each as JSON values.
    """
    found: dict[str, Definition | Unusable] = {}
    nameless = 0
    entries = list(listed)
    for entry in entries:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or not _is_text(name):
            nameless += 1
            continue
        twice = name in found
        found[name] = _twice(name) if twice else read_definition(config, entry)
    if len(entries) > MOST_TOOLS:
        problem = f"{server} lists {len(entries)} tools; at most {MOST_TOOLS} are taken"
        found = {name: Unusable(name=name, problem=problem) for name in list(found)[:MOST_TOOLS]}
    return Listing(config=config, tools=_apart(server, found), nameless=nameless)


def read_definition(config: str, entry: Mapping[str, Any]) -> Definition | Unusable:
    """Return one listed tool, which has a name, as a definition; or why it is none."""
    name = str(entry["name"])
    try:
        listed = _Listed.model_validate(dict(entry))
        found = Definition(
            config=config,
            name=listed.name,
            title=listed.title,
            description=listed.description,
            input_schema=listed.inputSchema,
            output_schema=listed.outputSchema,
            annotations=None if listed.annotations is None else dict(entry["annotations"]),
        )
        _ = found.text
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Unusable(name=name, problem=clip(f"{where}: {first['msg']}"))
    except (CanonicalError, RecursionError) as problem:
        return Unusable(name=name, problem=clip(str(problem)))
    return found


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


def _twice(name: str) -> Unusable:
    return Unusable(name=name, problem="it is listed twice")


def _apart(server: str, found: dict[str, Definition | Unusable]) -> dict[str, Definition | Unusable]:
    """Refuse tools whose names would be the same here: which one runs must not be a matter of order."""
    times = Counter(local_name(server, name) for name in found)
    return {
        name: Unusable(name=name, problem=f"two tools would be called {local_name(server, name)}")
        if times[local_name(server, name)] > 1
        else tool
        for name, tool in found.items()
    }


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
