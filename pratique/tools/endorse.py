"""Endorsement: a strict parse that lowers a label, because so little can come out of it.

    tools = endorse_tools(choices={"urgency": ["low", "high"]}, directory=["books@acme.example"])

Rules:
- What comes out is one of a set that the host declared when it made the tools. An agent cannot widen it: it
  names the tool and the text, no bounds, no words. So a stranger chooses among few values, and writes none.
- The whole text must be the value, blanks around it aside. Nothing is searched for in a longer text.
- Every use is a governed call: a policy allows it per tool, and its record names the text's source.
- A choice that a stranger made is still theirs. Endorse what is harmless whichever of its values it takes.
- An endorsed value is a known one, for an address, an amount, a time or a text. It does not say that the
  record it may name is the one that was meant: a selector still asks.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import Field

from pratique.errors import ToolDeclarationError, ToolError
from pratique.tools.context import ToolContext
from pratique.tools.declaration import Tool, tool

LONGEST = 512
"""Characters of a text that can be a value."""

WIDEST = 10_000
"""Integers or days that one tool may tell apart: with more of them, a number could carry a message."""

MOST_CHOICES = 100

Text = Annotated[str, Field(max_length=1024 * 1024)]

T = TypeVar("T")

_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NAME = re.compile(r"[a-z0-9_-]{1,64}")


def endorse_tools(
    *,
    choices: Mapping[str, Iterable[str]] | None = None,
    integers: Mapping[str, tuple[int, int]] | None = None,
    dates: Mapping[str, tuple[date, date]] | None = None,
    directory: Iterable[str] = (),
) -> list[Tool]:
    """Return the endorsers of a host, as tools of tier `read`.

    Each takes `text`, a value or the reference of a withheld one, and returns `{"value": …}`, vouched for.

    Args:
        choices: name → words; makes `endorse.choice.NAME`, which gives one of them as it stands here.
        integers: name → least and greatest; makes `endorse.integer.NAME`.
        dates: name → first and last day; makes `endorse.date.NAME`, which gives `YYYY-MM-DD`.
        directory: addresses; with any, makes `endorse.address`, which gives one of them as it stands here.

    Raises:
        ToolDeclarationError: a name is none, or a set is empty or so large that it could carry a message.
    """
    tools = [_declare("boolean", "yes or no", _boolean)]
    for name, (least, most) in (integers or {}).items():
        _demand(name, 0 <= most - least < WIDEST, f"integers[{name!r}]: from 1 to {WIDEST} of them")
        tools.append(_declare(f"integer.{name}", f"an integer from {least} to {most}", _integer(least, most)))
    for name, (first, last) in (dates or {}).items():
        _demand(
            name, timedelta(0) <= last - first < timedelta(WIDEST), f"dates[{name!r}]: 1 to {WIDEST} days"
        )
        tools.append(_declare(f"date.{name}", f"a day from {first} to {last}", _date(first, last)))
    for name, words in (choices or {}).items():
        known = _known(words)
        _demand(name, 0 < len(known) <= MOST_CHOICES, f"choices[{name!r}]: 1 to {MOST_CHOICES} words")
        tools.append(_declare(f"choice.{name}", "one of " + ", ".join(known.values()), _one_of(known)))
    addresses = _known(directory)
    if addresses:
        which = hashlib.sha256("\n".join(addresses).encode()).hexdigest()[:12]
        what = f"one of the {len(addresses)} addresses of the directory ({which})"
        tools.append(_declare("address", what, _one_of(addresses)))
    return tools


def _declare(name: str, what: str, parse: Callable[[str], Any]) -> Tool:
    """Declare one endorser."""

    async def endorse(_: ToolContext, text: Text) -> dict[str, Any]:
        if len(text) > LONGEST:
            raise ToolError(f"the text is not {what}")
        value = parse(text.strip())
        if value is None:
            raise ToolError(f"the text is not {what}")
        return {"value": value}

    endorse.__doc__ = f"Say that a text is {what}, and which."  # what may come out is in the digest, too
    return tool(f"endorse.{name}", tier="read", sources={"*": "authority"}, endorses=True)(endorse)


def _boolean(text: str) -> bool | None:
    return _WORDS.get(text.casefold()) if text.isascii() else None


def _integer(least: int, most: int) -> Callable[[str], int | None]:
    def parse(text: str) -> int | None:
        value = int(text) if _INTEGER.fullmatch(text) else None
        return value if value is not None and least <= value <= most else None

    return parse


def _date(first: date, last: date) -> Callable[[str], str | None]:
    def parse(text: str) -> str | None:
        try:
            value = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        except ValueError:
            return None
        return value.isoformat() if value is not None and first <= value <= last else None

    return parse


def _one_of(known: Mapping[str, str]) -> Callable[[str], str | None]:
    return lambda text: known.get(_folded(text))


def _known(words: Iterable[str]) -> dict[str, str]:
    """Return folded form → word as the host wrote it: that is what comes out."""
    return {_folded(word): word for word in words if word.strip()}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).casefold()


def _demand(name: str, holds: bool, problem: str) -> None:
    if not _NAME.fullmatch(name) or not holds:
        raise ToolDeclarationError(f"endorse: {problem}")
