"""People by their names: when two spellings are one person, and who belongs to a group."""

import re
import unicodedata
from collections.abc import Sequence

from pratique.lookalikes import ascii_twins

_OTHER_DOTS = re.compile("[\u3002\uff0e\uff61]")

DOT_ABOVE = "\u0307"
"""What case folding leaves of a capital I with a dot; nobody sees it on an i."""

ANY_LOCAL = "local:*"
"""A group member that stands for everyone with a shell account on the machine of the ledger."""


def same_person(name: str) -> str:
    """Return the form in which two spellings of one person's name are equal.

    Compatibility forms (NFKC) and case are folded, invisible characters dropped, and what is only drawn like
    an ASCII letter or digit (UTS #39) is read as that: a name with a dotless i and the same with an i are one
    person, who cannot ask as the one and answer as the other. Names in ASCII stay as different as they are.
    """
    if name.isascii():
        return name.casefold()
    return _read(_read(unicodedata.normalize("NFKC", name)).casefold())


def odd_spelling(name: str) -> str:
    """Return what makes a name another spelling of an address that exists; nothing, if it is none.

    A blank beside the `@`, quotes around the local part (RFC 5322, section 3.4.1), the root's dot after a
    domain (RFC 1034, section 3.1) and the other forms of a dot in domains (RFC 3490, section 3.1) change
    nothing about who is meant. As names of people they would be somebody else.
    """
    if any(char.isspace() for char in name):
        return "has a blank in it"
    if '"' in name:
        return "has quotes in it"
    if _OTHER_DOTS.search(name):
        return "has a dot in it that is not a full stop"
    return "ends with a dot" if name.endswith(".") else ""


def _read(text: str) -> str:
    twins = ascii_twins()
    seen = (char for char in text if unicodedata.category(char) != "Cf" and char != DOT_ABOVE)
    return "".join(twins.get(char, char) for char in seen)


def is_member(group: Sequence[str], person: str) -> bool:
    """Return whether the person belongs to the group; `local:*` stands for every shell login."""
    return person in group or (ANY_LOCAL in group and person.startswith("local:"))
