"""What a server lists, read strictly: each entry is a definition, or is unusable and says why. Pure.

Rules:
- Nothing of it is believed. What is too large, too deep, not JSON, of another form, or has arguments that
  cannot be checked never becomes a tool.
- Which tool runs is never a matter of order: of two with one name, neither does.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique.errors import CanonicalError, SchemaRefusedError
from pratique.model import Tier, clip
from pratique.proxy.definition import LONGEST_DESCRIPTION, Definition, Listing, Unusable
from pratique.proxy.naming import MOST_NAME, local_name
from pratique.proxy.schemas import arguments_of

MOST_TOOLS: Final = 256
"""Tools of one server that are looked at; a server that lists more has none that can be used."""


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


def read_listing(config: str, server: str, listed: Iterable[Any], least: Tier = Tier.READ) -> Listing:
    """Return what a server lists, each tool as a definition or as unusable.

    Args:
        config: digest of the server's configuration.
        server: its name here.
        listed: the tools as the protocol has them, each as JSON values.
        least: the lowest tier of any of them.
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
    return Listing(config=config, tools=_apart(server, found), nameless=nameless, least=least)


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
        arguments_of(name, found.input_schema)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Unusable(name=name, problem=clip(f"{where}: {first['msg']}"))
    except SchemaRefusedError as problem:
        return Unusable(name=name, problem=clip(f"its input schema: {problem}"))
    except (CanonicalError, RecursionError) as problem:
        return Unusable(name=name, problem=clip(str(problem)))
    return found


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
