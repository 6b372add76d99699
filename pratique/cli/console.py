"""What all verbs share: where they print, how they fail, which settings they read.

Rules:
- Results go to standard output, everything else to standard error. `--json` prints one JSON value.
- Text from outside is printed as text: no markup, and every character that a terminal would obey is visible.
- An error of ours is one red line and exit code 2. Any other exception is a bug, and shows its traceback.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from pratique.appearance import visible
from pratique.errors import PratiqueError
from pratique.settings import Settings

FAILED = 1
"""The exit code of a verb that worked and found something wrong."""

USAGE = 2
"""The exit code of a verb that could not do what it was asked to."""

console = Console(markup=False, highlight=False, emoji=False)
stderr = Console(stderr=True, markup=False, highlight=False, emoji=False)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The settings.",
        show_default="pratique.toml, if there is one here",
        rich_help_panel="Everywhere",
    ),
]

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON value, for programs.", rich_help_panel="Everywhere")
]


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn an error of ours into one line on standard error and exit code 2. Also a decorator."""
    try:
        yield
    except PratiqueError as problem:
        fail(str(problem))


def fail(problem: str, code: int = USAGE) -> NoReturn:
    """Print one red line to standard error and stop.

    Raises:
        typer.Exit: always.
    """
    complain(f"error: {problem}")
    raise typer.Exit(code) from None


def say(text: str, style: str = "") -> None:
    """Print one line to standard output, never wrapped."""
    console.print(one_line(text, style), soft_wrap=True)


def complain(text: str, style: str = "bold red") -> None:
    """Print one line to standard error, never wrapped."""
    stderr.print(one_line(text, style), soft_wrap=True)


def one_line(text: str, style: str = "") -> Text:
    """Return the text as one line in which every character can be seen."""
    return Text(visible(" ".join(text.splitlines())), style=style)


def print_json(value: Any) -> None:
    """Print a value as JSON: models as objects, and what a terminal would obey escaped."""
    text = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    typer.echo(_UNSEEN.sub(_escaped, text))


def load_settings(config: Path | None) -> Settings:
    """Return the settings that `--config` names.

    Raises:
        SettingsError: they are wrong; the message names file and key.
    """
    return Settings.load(config)


_UNSEEN = re.compile(r"[^\x20-\x7e\n]")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if visible(character) == character:
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
