"""What one session's agent is not shown: the values, and the references that stand for them.

Rules:
- A withheld path covers whatever stands there, an object or a list as well, and all that is below it.
- A reference is made here, cannot be guessed, and means something to its own session only.
- What it stands for is put into the arguments before anything else looks at them: it is shown on the card,
  approved, and run.
- What was asked for with a reference was handed over, whatever somebody's edit made of it since.
- What was handed to a tool may come back in its result or its error, or in what another tool reads later: it
  is withheld again there, the whole text or the whole object whose key repeats it.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from pratique.capabilities.fields import join_path, parts
from pratique.quarantine.references import references, resolve
from pratique.quarantine.reveal import withhold
from pratique.stages.echoes import Echoes

Pattern = tuple[str, ...]

SHORTEST_IN_CALL = 4
"""Letters and digits of a value that is looked for in what the very call gives that it was handed to."""

SHORTEST_LATER = 8
"""The same, in what later calls give."""


class Resolved(NamedTuple):
    """Arguments with what their references stand for, and the references."""

    arguments: dict[str, Any]
    references: tuple[str, ...]


class Withheld:
    """The withheld values of one session."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._handed = Echoes(SHORTEST_LATER)

    def __bool__(self) -> bool:
        """Whether anything was withheld."""
        return bool(self._values)

    def hand_over(self, arguments: Mapping[str, Any], references: Collection[str]) -> tuple[Echoes, ...]:
        """Return what must not come back from a call with these arguments.

        Args:
            arguments: the arguments, what was withheld put in.
            references: those that stood in them when the call was first asked for. If there are none, what is
                too short to be looked for is taken to be the agent's own words.
        """
        if not self._values:
            return ()
        now = Echoes(SHORTEST_IN_CALL)
        given = {orjson.dumps(item) for _, item in _all_places(arguments)}
        for reference, value in self._values.items():
            found = orjson.dumps(value) in given and (references or _is_long(value))
            if reference in references or found:
                now.add(value)
                self._handed.add(value)
        return now, self._handed

    def repeats(self, references: Collection[str], value: Any) -> bool:
        """Return whether a value, however short, holds any of what some references stand for."""
        echoes = Echoes(1)
        for reference in references:
            echoes.add(self._values.get(reference))
        return echoes.hears_in(value)

    def keep(self, value: Any, paths: Collection[str], echoes: Collection[Echoes] = ()) -> dict[str, str]:
        """Keep what stands at these paths of a result, and what repeats what must not come back.

        Returns:
            Full path → reference.
        """
        kept = {}
        for place, item in _places(value, {parts(path) for path in paths}) if paths else ():
            reference = kept[place] = f"q_{secrets.token_hex(12)}"
            self._values[reference] = item
        for place, item in _repeating(value, [one for one in echoes if one], kept):
            reference = kept[place] = f"q_{secrets.token_hex(12)}"
            self._values[reference] = item
        return kept

    def restore(self, value: Any, kept: Mapping[str, str]) -> None:
        """Keep again what was kept of a result before a restart."""
        for place, item in _all_places(value) if kept else ():
            if place in kept:
                self._values[kept[place]] = item

    def resolve(self, arguments: bytes) -> Resolved | None:
        """Return arguments in which each reference is replaced by what it stands for; None if there is none.

        Raises:
            UnresolvedReferenceError: a reference is malformed, or is none of this session's.
        """
        if not holds_reference(arguments):
            return None
        value = orjson.loads(arguments)
        if not isinstance(value, dict):
            return None
        found = references(value)
        return Resolved(resolve(value, self._values.__getitem__), found) if found else None


def holds_reference(arguments: bytes) -> bool:
    """Return whether canonical arguments may hold a reference: inside a text, the quotes are escaped."""
    return b'"$ref"' in arguments


def without(value: Any, kept: Mapping[str, str], path: str = "") -> Any:
    """Return a result in which each withheld value is replaced by its typed reference.

    Args:
        value: the result.
        kept: full path → reference.
        path: where `value` stands in the result.
    """
    if not kept:
        return value
    if path in kept:
        return withhold(kept[path], value)
    if isinstance(value, dict):
        return {key: without(item, kept, join_path(path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, kept, f"{path}[{number}]") for number, item in enumerate(value)]
    return value


def _places(value: Any, patterns: Collection[Pattern], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full path and value of everything that a pattern names; what is below it, once."""
    if () in patterns:
        if value is not None:
            yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            below = {pattern[1:] for pattern in patterns if pattern[0] in {str(key), "*"}}
            if below:
                yield from _places(item, below, join_path(path, str(key)))
    elif isinstance(value, list):
        below = {pattern[1:] for pattern in patterns if pattern[0] in {"[]", "*"}}
        for number, item in enumerate(value) if below else ():
            yield from _places(item, below, f"{path}[{number}]")
    elif value is not None and ("*",) in patterns:
        yield path, value


def _repeating(value: Any, echoes: Collection[Echoes], kept: Mapping[str, str]) -> list[tuple[str, Any]]:
    """Return full path and value of what gives something away, and is not kept already."""
    found: list[tuple[str, Any]] = []
    todo = [("", value)] if echoes else []
    while todo:
        path, item = todo.pop()
        if path in kept:
            continue
        if isinstance(item, dict) and not any(one.hears(str(key)) for one in echoes for key in item):
            todo.extend((join_path(path, str(key)), below) for key, below in item.items())
        elif isinstance(item, list):
            todo.extend((f"{path}[{number}]", below) for number, below in enumerate(item))
        elif isinstance(item, dict) or any(one.hears_in(item) for one in echoes):
            found.append((path, item))
    return found


def _is_long(value: Any) -> bool:
    return len(orjson.dumps(value)) >= SHORTEST_LATER


def _all_places(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every place of a value, without recursion."""
    todo = [("", value)]
    while todo:
        path, item = todo.pop()
        yield path, item
        if isinstance(item, dict):
            todo.extend((join_path(path, str(key)), below) for key, below in item.items())
        elif isinstance(item, list):
            todo.extend((f"{path}[{number}]", below) for number, below in enumerate(item))
