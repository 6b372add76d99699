"""Passwords: hashed by argon2id, and nothing else done with them.

Rules:
- A hash costs as much for a name that nobody has: the time of an answer says nothing.
- At least `SHORTEST` characters, no rules about their kinds, at most `LONGEST` (NIST SP 800-63B-4, 3.1.1).
- Compared in Unicode form NFKC, as the same source asks.
"""

import unicodedata
from functools import cache

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from pratique.errors import PasswordError

SHORTEST = 12
LONGEST = 1024


def check(password: str, name: str) -> None:
    """Raise unless a person may choose this password.

    Raises:
        PasswordError: it may not be chosen; the message says why.
    """
    length = len(unicodedata.normalize("NFKC", password))
    if length < SHORTEST:
        raise PasswordError(f"a password has at least {SHORTEST} characters; a few words will do")
    if length > LONGEST:
        raise PasswordError(f"a password has at most {LONGEST} characters")
    if password.strip().casefold() == name.casefold() or len(set(password)) < SHORTEST // 3:
        raise PasswordError("this password is the name, or one character again and again")


def hashed(password: str) -> str:
    """Return the hash to keep. Takes tens of milliseconds and 64 MiB, on purpose."""
    return _hasher().hash(unicodedata.normalize("NFKC", password))


def fits(password: str, kept: str) -> bool:
    """Return whether the password has this hash; of no hash, after as much time, False."""
    try:
        found = _hasher().verify(unicodedata.normalize("NFKC", password[:LONGEST]), kept or _nobodys())
    except (UnknownHashError, ValueError):
        return False
    return found and bool(kept)


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys() -> str:
    return _hasher().hash("nobody has this password")
