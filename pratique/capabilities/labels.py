"""The lattice of labels, and which fields of a result come from outside.

Rules:
- Labels only rise here: `join` is the only way to combine them. Nothing in the runtime lowers one.
- A field that is not declared is untrusted (`pratique.capabilities.fields`).
"""

from collections.abc import Iterator
from typing import Any

from pratique.capabilities.fields import Leaf, Shape
from pratique.model import Confidentiality, Integrity, Label

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


def foreign_leaves(value: Any, shape: Shape) -> Iterator[Leaf]:
    """Yield the non-empty leaves of a result that come from outside."""
    for leaf in shape.leaves(value) if shape.foreign else ():
        if leaf.word.label.foreign and leaf.value not in _EMPTY:
            yield leaf


_EMPTY = ("", None)
