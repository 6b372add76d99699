"""Which names a JSON Schema of arguments has: what an agent cannot have made up.

Rules:
- Names of properties count, wherever the schema has them, and the words that `propertyNames` lists.
- What a schema only quotes (an example, a default, a constant) is data, and names nothing.
- Linear in the schema, without recursion: a server wrote it.
"""

from collections.abc import Mapping
from typing import Any

_DATA = frozenset({"const", "default", "enum", "example", "examples"})
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords that map names to schemas (JSON Schema 2020-12, core 10; `definitions` is draft 7's)."""


def named(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return every name of a property in a schema.

    Args:
        schema: a JSON Schema object.
    """
    found: set[str] = set()
    todo: list[Any] = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        if not isinstance(node, dict):
            continue
        found.update(_own(node))
        for keyword, below in node.items():
            if keyword in _BY_NAME and isinstance(below, dict):
                todo.extend(below.values())
            elif keyword not in _DATA:
                todo.append(below)
    return frozenset(found)


def _own(node: dict[str, Any]) -> list[str]:
    """Return the names that one place of a schema has."""
    properties, keys = node.get("properties"), node.get("propertyNames")
    listed = keys.get("enum") if isinstance(keys, dict) else None
    words = [word for word in listed if isinstance(word, str)] if isinstance(listed, list) else []
    return [*(properties if isinstance(properties, dict) else ()), *words]
