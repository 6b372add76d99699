"""Does a text give away what the agent is not shown? For tools that repeat what they were handed.

Rules:
- Letters and digits count, without case: what stands between them may change when a tool prints a text.
- A text gives a value away if it holds all of it, its first or last `BLOCK` letters and digits, or any run of
  twice as many. A value that is shorter than `shortest` is given away only by a text that is nothing else.
- This finds what is repeated, not what is encoded: what a tool turns into base64 is the tool's own words.
- Linear in the text, whatever was withheld.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

BLOCK = 16
"""Letters and digits of a long value that are enough to recognise it."""

_BETWEEN = re.compile(r"[\W_]+")


class Echoes:
    """Values that must not be repeated.

    Args:
        shortest: letters and digits that a value must have to be looked for inside a text.
    """

    def __init__(self, shortest: int) -> None:
        self._shortest = shortest
        self._whole: set[str] = set()
        self._inside: set[str] = set()
        self._blocks: set[str] = set()

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._whole or self._inside or self._blocks)

    def add(self, value: Any) -> None:
        """Look for every text and number in a value from now on."""
        for text in _texts(value):
            letters = _letters(text)
            if len(letters) < self._shortest:
                self._whole.add(letters or text)
            elif len(letters) < BLOCK:
                self._inside.add(letters)
            else:
                starts = [*range(0, len(letters) - BLOCK, BLOCK), len(letters) - BLOCK]
                self._blocks.update(letters[at : at + BLOCK] for at in starts)

    def hears(self, text: str) -> bool:
        """Return whether a text gives one of the values away."""
        letters = _letters(text)
        if (letters or text) in self._whole or any(value in letters for value in self._inside):
            return True
        ends = range(len(letters) - BLOCK + 1) if self._blocks else ()
        return any(letters[at : at + BLOCK] in self._blocks for at in ends)

    def hears_in(self, value: Any) -> bool:
        """Return whether a scalar of a result gives one of the values away."""
        return any(self.hears(text) for text in _texts(value))


def _letters(text: str) -> str:
    return _BETWEEN.sub("", text.casefold())


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, and every number as its text; keys as well."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo.extend(item)
            todo.extend(item.values())
        elif isinstance(item, list | tuple):
            todo.extend(item)
        elif item is not None and not isinstance(item, bool):
            yield orjson.dumps(item).decode()
