"""The tool's own name for a record, as a source id: `email:<message-id>`.

Rules:
- A template's `{field}` is replaced by that field of the record, and by nothing else: no format language.
- The field is text from outside. It is used only if it is short and cannot be mistaken for another id's
  parts.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pratique.capabilities.fields import full_path
from pratique.origin import Source

_FIELD = re.compile(r"\{([\w.-]+)\}")
_FIT = re.compile(r"[\w@<>.+=/:-]{1,200}")

Place = tuple[str, tuple[int, ...]]


class Record(NamedTuple):
    """A record with a name of its own, and its place in the result: `messages[]`, or `` for all of it."""

    name: str
    base: str

    def source(self, path: str, places: tuple[int, ...] | None = None) -> str:
        """Return the source id of a leaf in it: `email:7#body`.

        Args:
            path: the leaf's generic path in the result.
            places: the numbers that its `[]` stand for; left out, they are not told.
        """
        field = path.removeprefix(self.base).removeprefix(".")
        if places is not None:
            field = full_path(field, places[self.base.count("[]") :])
        return f"{self.name}#{field or path}"


class Written(NamedTuple):
    """The id that a text had before a write of ours put it where it was found now."""

    name: str

    def source(self, _path: str, _places: tuple[int, ...] | None = None) -> str:
        """Return the source id, wherever it stands now."""
        return self.name


class Where(NamedTuple):
    """A field of a result: little enough to be kept for each of many values.

    Attributes:
        call: the call's id.
        tool: the call's tool.
        path: the field's generic path; `places` are the numbers that its `[]` stand for.
        record: the record that it stands in, if that has a name of its own.
    """

    call: str
    tool: str
    path: str
    places: tuple[int, ...]
    record: Record | Written | None

    @property
    def source(self) -> Source:
        """The field as a source, named after its record or after its call."""
        path = full_path(self.path, self.places)
        own = self.record.source(self.path, self.places) if self.record else f"{self.tool}:{self.call}#{path}"
        return Source(id=own, call_id=self.call, tool=self.tool, path=path)


Records = Mapping[Place, Record]


def identified(value: Any, templates: Mapping[str, str]) -> dict[Place, Record]:
    """Return record place → its name, for the records whose fields make one.

    Args:
        value: a tool's result.
        templates: generic record path (`messages[]`, `[]`, or `` for the result itself) → template.
    """
    names: dict[Place, Record] = {}
    for path, template in templates.items():
        places: list[tuple[Place, Any]] = []
        if path.endswith("[]"):
            found = _descend(value, path[:-2])
            items = found if isinstance(found, list) else []
            places.extend(((path[:-2], (number,)), item) for number, item in enumerate(items))
        else:
            places.append(((path, ()), _descend(value, path)))
        named = ((place, _filled(template, item)) for place, item in places)
        names.update((place, Record(name, path)) for place, name in named if name)
    return names


def record_of(names: Records, path: str, places: tuple[int, ...]) -> Record | None:
    """Return the record that a leaf stands in, if it has a name.

    Args:
        names: what `identified` returned.
        path: the leaf's generic path.
        places: the numbers that its `[]` stand for.
    """
    if not names:
        return None
    return names.get((path.partition("[]")[0], places[:1])) or names.get(("", ()))


def _descend(value: Any, path: str) -> Any:
    """Follow a dotted path of keys."""
    for key in path.split(".") if path else ():
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _filled(template: str, record: Any) -> str:
    """Fill a template from a record; empty if a field is missing or unfit."""
    values = {name: _descend(record, name) for name in _FIELD.findall(template)}
    if not all(isinstance(found, str | int) and _FIT.fullmatch(str(found)) for found in values.values()):
        return ""
    return _FIELD.sub(lambda match: str(values[match.group(1)]), template)
