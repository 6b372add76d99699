"""People by their names: when two spellings are one person, and who belongs to a group."""

import unicodedata
from collections.abc import Sequence

ANY_LOCAL = "local:*"
"""A group member that stands for everyone with a shell account on the machine of the ledger."""


def same_person(name: str) -> str:
    """Return the form in which two spellings of one person's name are equal (NFKC, case folded)."""
    return unicodedata.normalize("NFKC", name).casefold()


def is_member(group: Sequence[str], person: str) -> bool:
    """Return whether the person belongs to the group; `local:*` stands for every shell login."""
    return person in group or (ANY_LOCAL in group and person.startswith("local:"))
