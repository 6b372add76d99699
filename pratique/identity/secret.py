"""Long random secrets that are shown once: login links and API keys.

Rules:
- A secret has 256 bits, so its plain SHA-256 can be kept: there is nothing to guess.
- It starts with what it is (`pratique_`), so that scanners of published code find it, and ends with a
  checksum, so that they, and we, can tell a mistyped one without a look into the database.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from typing import NamedTuple

PREFIX = "pratique_"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET, _SUM = 43, 6
_FORM = re.compile(r"pratique_([0-9a-f]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")


class Shown(NamedTuple):
    """A new secret: its public id, the text to show once, and the hash to keep."""

    id: str
    text: str
    digest: str


class Presented(NamedTuple):
    """What somebody showed: which secret they mean, and the hash of theirs."""

    id: str
    digest: str

    def matches(self, kept: str) -> bool:
        """Return whether the kept hash is this secret's, in a time that says nothing."""
        return hmac.compare_digest(self.digest, kept)


def new() -> Shown:
    """Return a fresh secret."""
    name = secrets.token_hex(6)
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET))
    body = f"{PREFIX}{name}_{secret}"
    return Shown(name, body + _checksum(body), _digest(secret))


def read(text: str) -> Presented | None:
    """Return what a text shows, or None if it is no secret of ours."""
    found = _FORM.fullmatch(text)
    if found is None or not hmac.compare_digest(_checksum(text[:-_SUM]), found[3]):
        return None
    return Presented(found[1], _digest(found[2]))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    rest, letters = zlib.crc32(body.encode()), ""
    for _ in range(_SUM):
        rest, place = divmod(rest, len(_ALPHABET))
        letters += _ALPHABET[place]
    return letters
