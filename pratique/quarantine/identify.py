"""The tool's own name for a record, as a source id: `email:<message-id>`.

Rules:
- A template's `{field}` is replaced by that field of the record, and by nothing else: no format language.
- The field is text from outside. It is used only if it is short and cannot be mistaken for another id's
  parts.
"""

import re
from collections.abc import Mapping
from typing import Any

_FIELD = re.compile(r"\{([\w.-]+)\}")
_FIT = re.compile(r"[\w@<>.+=/:-]{1,200}")

Place = tuple[str, tuple[int, ...]]


def identified(value: Any, templates: Mapping[str, str]) -> dict[Place, str]:
    """Return record place → source id, for the records whose fields make one.

    Args:
        value: a tool's result.
        templates: generic record path (`messages[]`, `[]`, or `` for the result itself) → template.
    """
    names: dict[Place, str] = {}
    for path, template in templates.items():
        places: list[tuple[Place, Any]] = []
        if path.endswith("[]"):
            found = _descend(value, path[:-2])
            items = found if isinstance(found, list) else []
            places.extend(((path[:-2], (number,)), item) for number, item in enumerate(items))
        else:
            places.append(((path, ()), _descend(value, path)))
        names.update((place, name) for place, item in places if (name := _filled(template, item)))
    return names


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
