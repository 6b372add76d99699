"""A checkpoint: how many records, and the root over them, as C2SP `tlog-checkpoint` writes it.

Rules:
- The origin is the log's name, which is random: two logs never share one.
- Which key may sign a checkpoint is a matter of its size: the key in force at that record (`Keyring`).
- A new key comes into force by a record, `key.rotate`, that both the old key and the new one have signed.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pratique.audit.merkle import HASH_BYTES
from pratique.audit.note import ED25519, Note, Signer, Verifier, parse_note
from pratique.audit.record import Draft
from pratique.errors import NoteError

MOST_RECORDS: Final = 2**53

ROTATION: Final = "pratique key rotation v1"


class Checkpoint(NamedTuple):
    """The head of a log's tree: `root` is over its first `size` records."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a checkpoint's text. Extension lines are allowed and mean nothing.

        Raises:
            NoteError: it is not one.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):  # noqa: PLR2004  # three lines and the end
            raise NoteError("not a checkpoint: it is not three lines of text")
        origin, size, root = lines[:3]
        if not (size.isascii() and size.isdecimal()) or (size[0] == "0" and size != "0"):
            raise NoteError(f"not a checkpoint: {size[:40]!r} is not a size")
        if len(size) > len(str(MOST_RECORDS)) or int(size) > MOST_RECORDS:
            raise NoteError("not a checkpoint: no log is so long")
        try:
            found = base64.b64decode(root, validate=True)
        except (binascii.Error, ValueError):
            found = b""
        if len(found) != HASH_BYTES or base64.b64encode(found).decode() != root:
            raise NoteError("not a checkpoint: its third line is not a root")
        return cls(origin, int(size), found)


class SignedCheckpoint(NamedTuple):
    """A checkpoint and the note that it came in; `checkpoint` says nothing before a signature is verified."""

    checkpoint: Checkpoint
    note: Note

    @classmethod
    def parse(cls, raw: str | bytes) -> "SignedCheckpoint":
        """Read a signed checkpoint.

        Raises:
            NoteError: it is not one.
        """
        note = parse_note(raw)
        return cls(Checkpoint.parse(note.text), note)

    @classmethod
    def sign(cls, checkpoint: Checkpoint, signer: Signer) -> "SignedCheckpoint":
        """Return the checkpoint, signed."""
        return cls(checkpoint, Note(checkpoint.text, (signer.sign(checkpoint.text),)))


class Keyring:
    """Which key of the log is in force at which record.

    Args:
        first: the key that was given from outside; None when there is none, so nothing can be verified.
    """

    def __init__(self, first: Verifier | None) -> None:
        self._keys: list[tuple[int, Verifier]] = [] if first is None else [(0, first)]

    @property
    def current(self) -> Verifier | None:
        """The newest key."""
        return self._keys[-1][1] if self._keys else None

    def at(self, size: int) -> Verifier | None:
        """Return the key that must have signed a checkpoint of this size."""
        return next((key for since, key in reversed(self._keys) if since <= size), None)

    def rotate(self, record: Mapping[str, Any]) -> None:
        """Take a `key.rotate` record into account.

        Raises:
            NoteError: it is not signed by the key in force and by the new one.
        """
        old = self.current
        if old is None:
            return
        old_text, new_text = record.get("old"), record.get("new")
        if old_text != str(old):
            raise NoteError("a key rotation that does not start from the key in force")
        if type(new_text) is not str or type(record.get("statement")) is not str:
            raise NoteError("a key rotation without its statement")
        new = Verifier.parse(new_text)
        note = parse_note(record["statement"])
        if note.text != rotation_text(str(record.get("log")), old, new) or new.kind != ED25519:
            raise NoteError("a key rotation whose statement is not about these keys")
        if set(note.signed_by((old, new))) != {old, new}:
            raise NoteError("a key rotation that the old key and the new one did not both sign")
        self._keys.append((int(record["seq"]), new))

    def verify(self, signed: SignedCheckpoint) -> bool:
        """Return whether the key in force signed; False when no key is known, so that nothing can be said.

        Raises:
            NoteError: it did not, or its signature does not verify.
        """
        key = self.at(signed.checkpoint.size)
        if key is None:
            return False
        if key not in signed.note.signed_by((key,)):
            raise NoteError("it is not signed by the log's key that was in force")
        return True


def rotation_text(log: str, old: Verifier, new: Verifier) -> str:
    """Return what both keys sign."""
    return f"{ROTATION}\n{log}\n{old}\n{new}\n"


def rotation(log: str, old: Signer, new: Signer, by: str, reason: str) -> Draft:
    """Draft the record that brings a new key into force."""
    text = rotation_text(log, old.verifier, new.verifier)
    statement = Note(text, (old.sign(text), new.sign(text)))
    return {
        "type": "key.rotate",
        "old": str(old.verifier),
        "new": str(new.verifier),
        "statement": str(statement),
        "by": by,
        "reason": reason,
    }
