"""The lattice of labels, and which fields of a result come from outside.

Rules:
- Labels only rise here: `join` is the only way to combine them. Nothing in the runtime lowers one.
- A field that is not declared is untrusted.
- The longest declaration that covers a field speaks for it; `*` speaks for the rest.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pratique.errors import ToolDeclarationError
from pratique.model import Confidentiality, FieldLabel, Integrity, Label, Taint

MOST_SOURCES = 64
"""How many source ids a label names. Beyond that it says `…`: the label stays as high, the list is cut."""


def join(*labels: Label) -> Label:
    """Return the least label that is at least as high as each of `labels`."""
    sources = frozenset().union(*(label.sources for label in labels))
    if len(sources) > MOST_SOURCES:
        sources = frozenset([*sorted(sources - {"…"})[: MOST_SOURCES - 1], "…"])
    return Label(
        integrity=Integrity.highest(*(label.integrity for label in labels)),
        confidentiality=Confidentiality.highest(*(label.confidentiality for label in labels)),
        sources=sources,
    )


def covers(high: Label, low: Label) -> bool:
    """Return whether `high` is at least as high as `low` in integrity and confidentiality."""
    return high.integrity.rank >= low.integrity.rank and high.confidentiality.rank >= low.confidentiality.rank


def taint_of(context: Label) -> Taint:
    """Return the taint of a call in a session whose context is `context`.

    The simplest honest rule: once a session was shown text from outside, every argument of every later call
    may have been steered by it.
    """
    return Taint.CONTEXT if context.integrity is Integrity.UNTRUSTED else Taint.NONE


def read_sources(sources: Mapping[str, str]) -> dict[str, FieldLabel]:
    """Return each declared field's label, without its record type.

    Raises:
        ToolDeclarationError: a label is none of `FieldLabel`'s words.
    """
    labels = {}
    for path, word in sources.items():
        try:
            labels[path] = FieldLabel(word.partition(":")[0])
        except ValueError:
            raise ToolDeclarationError(
                f"sources: {path!r} has the label {word!r}; known are " + ", ".join(FieldLabel)
            ) from None
    return labels


def foreign_fields(value: Any, labels: Mapping[str, FieldLabel]) -> set[str]:
    """Return the generic paths (`messages[].body`) of the non-empty leaves that come from outside."""
    if labels.get("*", FieldLabel.UNTRUSTED).foreign or any(label.foreign for label in labels.values()):
        return {path for path, leaf in _leaves(value) if leaf not in _EMPTY and _label(path, labels).foreign}
    return set()


_EMPTY = ("", None)


def _label(path: str, labels: Mapping[str, FieldLabel]) -> FieldLabel:
    """Return the label of the longest declared path that covers `path`."""
    while path:
        if path in labels:
            return labels[path]
        path = path[:-2] if path.endswith("[]") else path.rpartition(".")[0]
    return labels.get("*", FieldLabel.UNTRUSTED)


def _leaves(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield generic path and value of every leaf, keys of undeclared maps being part of the path."""
    todo: list[tuple[str, Any]] = [("", root)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo.extend((f"{path}.{key}" if path else str(key), item) for key, item in value.items())
        elif isinstance(value, list):
            todo.extend((f"{path}[]", item) for item in value)
        else:
            yield path, value
