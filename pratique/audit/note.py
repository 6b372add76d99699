"""Signed notes: a text and signature lines, in the form of C2SP `signed-note` and Go's checksum database.

Rules:
- A key is a name and 32 bytes; its id is the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ key). The id
  only finds the key. What counts is that the verifier was given the whole key.
- Signatures of unknown keys are passed over. One of a known key that does not verify spoils the whole note.
- Two types: 0x01 is Ed25519 over the text; 0x04 is a witness's cosignature, which also signs a time
  (C2SP `tlog-cosignature`).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pratique.errors import NoteError

ED25519: Final = 1
COSIGNATURE: Final = 4
MOST_SIGNATURES: Final = 100
MOST_BYTES: Final = 64 * 1024

_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_LATEST: Final = 2**63


class SignatureLine(NamedTuple):
    """One signature: whose it says it is, and its bytes without the key's id."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        """Return the line, without its end."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}"


class Verifier(NamedTuple):
    """A public key and its name; its text form is Go's `vkey`: `NAME+ID+BASE64`."""

    name: str
    kind: int
    key: bytes

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read the text form.

        Raises:
            NoteError: it is not of that form, or the id is not the key's.
        """
        name, _, rest = text.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        body = _decoded(encoded)
        if len(body) != 1 + _KEY_BYTES or body[0] not in (ED25519, COSIGNATURE) or not _NAME.fullmatch(name):
            raise NoteError(f"{text.strip()!r} is not a verifier key; one looks like NAME+0123abcd+BASE64")
        verifier = cls(name, body[0], body[1:])
        if verifier.key_id.hex() != stated:
            raise NoteError(f"{text.strip()!r}: the id is not this key's; it was mistyped or changed")
        return verifier

    @property
    def key_id(self) -> bytes:
        """Four bytes by which signature lines name the key."""
        return _key_id(self.name, self.kind, self.key)

    def __str__(self) -> str:
        """Return the text form."""
        body = base64.b64encode(bytes([self.kind]) + self.key).decode()
        return f"{self.name}+{self.key_id.hex()}+{body}"

    def signed_at(self, text: str, signature: bytes) -> int | None:
        """Return the time that a cosignature states, 0 for a plain signature, None if it is not valid.

        Args:
            text: the note's text.
            signature: the bytes after the key's id.
        """
        message, at = text.encode(), 0
        if self.kind == COSIGNATURE:
            at = int.from_bytes(signature[:_TIME_BYTES], "big")
            signature = signature[_TIME_BYTES:]
            message = cosigned(text, at)
        if len(signature) != _SIGNATURE_BYTES or at >= _LATEST:
            return None
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return None
        return at


class Signer(NamedTuple):
    """A private key and its name. Never print one."""

    name: str
    kind: int
    seed: bytes

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return Verifier(self.name, self.kind, public)

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """Read Go's text form, `PRIVATE+KEY+NAME+ID+BASE64`.

        Raises:
            NoteError: it is not of that form.
        """
        words = text.strip().split("+", 4)
        body = _decoded(words[4]) if len(words) == 5 else b""  # noqa: PLR2004  # the words of the form
        if words[:2] != ["PRIVATE", "KEY"] or len(body) != 1 + _KEY_BYTES:
            raise NoteError("not a private key of the form PRIVATE+KEY+NAME+ID+BASE64")
        signer = cls(words[2], body[0], body[1:])
        if not _NAME.fullmatch(signer.name) or signer.kind not in (ED25519, COSIGNATURE):
            raise NoteError("a private key with a name or type that is not known")
        if signer.verifier.key_id.hex() != words[3]:
            raise NoteError("a private key whose id is not its own: it was changed")
        return signer

    def private_text(self) -> str:
        """Return the text form, which is the secret."""
        body = base64.b64encode(bytes([self.kind]) + self.seed).decode()
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{body}"

    def sign(self, text: str, at: int = 0) -> SignatureLine:
        """Return the signature line over a note's text.

        Args:
            text: ends in a newline.
            at: for a cosignature, seconds since the epoch.
        """
        message, before = text.encode(), b""
        if self.kind == COSIGNATURE:
            message, before = cosigned(text, at), at.to_bytes(_TIME_BYTES, "big")
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)
        return SignatureLine(self.name, self.verifier.key_id, before + signature)

    def __repr__(self) -> str:
        """Return the name only: a traceback must not show the seed."""
        return f"Signer({self.name!r})"


class Note(NamedTuple):
    """A text and its signature lines, none of them verified."""

    text: str
    lines: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        """Return the note as it is written down."""
        return self.text + "\n" + "".join(f"{line}\n" for line in self.lines)

    def with_lines(self, lines: Iterable[SignatureLine]) -> "Note":
        """Return the note with more signatures, each key's once."""
        return Note(self.text, tuple(dict.fromkeys([*self.lines, *lines])))

    def signed_by(self, known: Sequence[Verifier]) -> dict[Verifier, int]:
        """Return which of the known keys signed, and when (0 for a signature without a time).

        Raises:
            NoteError: a known key's signature does not verify.
        """
        found: dict[Verifier, int] = {}
        for line in self.lines:
            for verifier in known:
                if (verifier.name, verifier.key_id) != (line.name, line.key_id) or verifier in found:
                    continue
                at = verifier.signed_at(self.text, line.signature)
                if at is None:
                    raise NoteError(f"the signature of {verifier.name} does not verify")
                found[verifier] = at
        return found


def cosigned(text: str, at: int) -> bytes:
    """Return what a witness signs: the time, then the note's text (C2SP tlog-cosignature)."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def parse_note(raw: str | bytes) -> Note:
    """Read a note.

    Raises:
        NoteError: it is not one; nothing of it may be used.
    """
    written = raw.encode() if isinstance(raw, str) else raw
    if len(written) > MOST_BYTES:
        raise NoteError(f"a note of {len(written):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        note = written.decode()
    except UnicodeDecodeError:
        raise NoteError("a note that is not UTF-8") from None
    head, found, tail = note.rpartition("\n\n")
    if not found or not tail.endswith("\n") or any(char < " " and char != "\n" for char in note):
        raise NoteError("not a signed note: it lacks its signatures, or its end")
    lines = tuple(parse_line(line) for line in tail[:-1].split("\n"))
    if len(lines) > MOST_SIGNATURES:
        raise NoteError(f"a note with more than {MOST_SIGNATURES} signatures")
    return Note(head + "\n", lines)


def parse_line(line: str) -> SignatureLine:
    """Read one signature line, without its end.

    Raises:
        NoteError: it is not one.
    """
    words = line.split(" ")
    if len(words) != 3 or words[0] != "—" or not _NAME.fullmatch(words[1]):  # noqa: PLR2004  # dash, name, signature
        raise NoteError(f"not a signature line: {line[:80]!r}")
    body = _decoded(words[2])
    if len(body) <= _ID_BYTES:
        raise NoteError(f"not a signature: {line[:80]!r}")
    return SignatureLine(words[1], body[:_ID_BYTES], body[_ID_BYTES:])


def _key_id(name: str, kind: int, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:_ID_BYTES]


def _decoded(text: str) -> bytes:
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return body if base64.b64encode(body).decode() == text else b""  # one spelling per value
