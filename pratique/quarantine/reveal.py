"""What stands for text that is not shown at all: a reference that says its kind and size, no more."""

import re
from typing import Any

from pratique.errors import PratiqueError
from pratique.quarantine.arguments import REFERENCE


def withhold(reference: str, value: Any) -> dict[str, Any]:
    """Return the typed reference that stands for a withheld value.

    Args:
        reference: an id that cannot be guessed, made by the caller: `q_…`.
        value: the JSON value; only its kind and size are told.

    Raises:
        UnresolvedReferenceError: the id does not have a reference's form.
    """
    if not FORM.fullmatch(reference):
        raise UnresolvedReferenceError(
            f"{reference[:40]!r} is no reference id: q_ and 16 to 64 letters and digits"
        )
    return {REFERENCE: reference, **_described(value)}


FORM = re.compile(r"q_[0-9A-Za-z_-]{16,64}")
"""The form of a reference's id."""


class UnresolvedReferenceError(PratiqueError):
    """An argument holds a reference that is forged, malformed, or of another session. The call cannot run."""


def _described(value: Any) -> dict[str, Any]:
    """Return a value's kind and size."""
    if isinstance(value, str):
        return {"kind": "text", "chars": len(value)}
    if isinstance(value, bool):
        return {"kind": "boolean"}
    if isinstance(value, int | float):
        return {"kind": "number"}
    if isinstance(value, list | tuple):
        return {"kind": "list", "items": len(value)}
    if isinstance(value, dict):
        return {"kind": "object", "keys": len(value)}
    return {"kind": "nothing"}
