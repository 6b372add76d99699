"""What somebody may have meant by a word that is not known.

Rules:
- It is a hint in a message, and nothing else: no word is ever taken for another.
"""

import typing
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

_LEAST_ALIKE = 0.6
"""The share of letters in common, as difflib counts them: `teir` and `tier` are 0.75."""


def meant(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'tier'?` if a known word is much like this one, else nothing."""
    found = get_close_matches(word, list(known), n=1, cutoff=_LEAST_ALIKE)
    return f"; did you mean {found[0]!r}?" if found else ""


def meant_key(model: type[BaseModel], place: Sequence[Any]) -> str:
    """Return what `meant` says of an unknown key in a file.

    Args:
        model: what the whole file is read as.
        place: where the key stands, as Pydantic says it: names of fields, keys of tables, numbers of rows.
    """
    *path, word = place
    here: type[BaseModel] | None = model
    of_a_row = False
    for part in path:
        if of_a_row or here is None:
            of_a_row = False
            continue
        field = here.model_fields.get(str(part))
        if field is None:
            return ""
        of_a_row = _holds_rows(field.annotation)
        here = _model_in(field.annotation)
    return "" if here is None or of_a_row else meant(str(word), here.model_fields)


def _holds_rows(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Sequence | Mapping):
        return True
    return origin is not None and any(map(_holds_rows, typing.get_args(annotation)))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in typing.get_args(annotation))
    return next((model for model in found if model is not None), None)
