"""Values at rest, apart from the records that commit to them.

Rules:
- A record holds salted commitments (`pratique.audit.record`); salt and value lie here, AES-256-GCM encrypted
  under a key per subject (the person an agent acts for). Erasing a row, or a subject's key, erases values.
- Subject keys are wrapped by a master key in a file of its own (0600), outside the database: a copy of the
  database alone reads as nothing.
- The associated data is the record's type and call id, so that a row cannot stand in for another one.
- A mark is a keyed hash by which a value is known again without being kept. It is the same for the same
  value, and it stands in records: who holds the key file can test a guess against it, nobody else can.

An attacker who holds database and key file can read every value. One who can write the database can destroy
values, but not replace them: the record's commitment would not match.
"""

import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pratique.audit.record import SALT_BYTES, commitment
from pratique.errors import LedgerCorruptError, LedgerUnavailableError, told
from pratique.ledger.entropy import ENTROPY

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MARK_BYTES: Final = 12
MOST_SUBJECTS: Final = 10_000
"""Pseudonyms that are remembered, so that they need not be computed for every call."""


class Sealing(NamedTuple):
    """Values made ready: what the record says of them, and what the vault keeps.

    `key` is the very key it was encrypted with, in memory: one that was erased meanwhile keeps nothing.
    """

    commitments: dict[str, str]
    subject: str
    sealed: bytes
    key: object = None


class Opened(NamedTuple):
    """One value out of the vault, and whether the record's commitment fits it."""

    value: bytes
    genuine: bool


class Vault:
    """Encrypts and decrypts values; keeps subject keys in memory once they are known.

    Args:
        master: the master key, 32 bytes.
    """

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._marking = hmac.digest(master, b"pratique mark", "sha256")
        self._wrapping = AESGCM(hmac.digest(master, b"pratique wrap", "sha256"))
        self._keys: dict[str, AESGCM] = {}
        self._erased: set[str] = set()
        self._subjects: dict[str, str] = {}

    @classmethod
    def at(cls, path: Path) -> "Vault":
        """Return the vault whose master key is in the file; the file is made when it is not there.

        Raises:
            LedgerUnavailableError: the file cannot be made or read.
            LedgerCorruptError: it does not hold a key.
        """
        try:
            _make_key_file(path)
            master = path.read_bytes()
        except OSError as problem:
            raise LedgerUnavailableError(f"{path}: {told(problem)}") from problem
        if len(master) != KEY_BYTES:
            raise LedgerCorruptError(f"{path} holds {len(master)} bytes, a vault key has {KEY_BYTES}")
        return cls(master)

    def subject_id(self, user: str) -> str:
        """Return the pseudonym under which `user`'s values are kept."""
        subject = self._subjects.get(user)
        if subject is None:
            if len(self._subjects) >= MOST_SUBJECTS:
                self._subjects.clear()
            about = b"pratique subject\x00" + user.encode()
            subject = self._subjects[user] = hmac.digest(self._master, about, "sha256").hex()[:32]
        return subject

    def derived(self, purpose: str) -> bytes:
        """Return a key for something else than values (32 bytes), the same for all who have this vault."""
        return hmac.digest(self._master, b"pratique derived\x00" + purpose.encode(), "sha256")

    def knows(self, subject: str) -> bool:
        """Return whether the subject's key is in memory."""
        return subject in self._keys

    def new_key(self, subject: str) -> bytes:
        """Return a fresh key for `subject`, wrapped, to be stored."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, os.urandom(KEY_BYTES), subject.encode())

    def learn(self, subject: str, wrapped: bytes) -> None:
        """Take a stored key into memory.

        Raises:
            LedgerCorruptError: it was not wrapped under this vault's master key.
        """
        try:
            key = self._wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject.encode())
        except (InvalidTag, TypeError, ValueError):  # ValueError: cut short; TypeError: no bytes
            raise LedgerCorruptError(
                f"the key of subject {subject} does not open: is this the right vault.key?"
            ) from None
        self._keys[subject] = AESGCM(key)
        self._erased.discard(subject)

    def forget(self, subject: str) -> None:
        """Drop a key from memory, after it was erased. Until there is a new one, nothing is kept."""
        self._erased.add(subject)
        self._keys.pop(subject, None)

    def keeps(self, sealing: Sealing) -> bool:
        """Return whether what was sealed is still to be kept: its key was not erased since."""
        return sealing.key is None or self._keys.get(sealing.subject) is sealing.key

    def mark(self, form: bytes) -> str:
        """Return the mark of a value in its normal form, in hex: HMAC-SHA-256 (RFC 2104), cut short."""
        return hmac.digest(self._marking, form, "sha256")[:MARK_BYTES].hex()

    def seal(self, subject: str, about: str, values: Mapping[str, bytes]) -> Sealing:
        """Return commitments to the values, and the values encrypted.

        Args:
            subject: whose key to use; it must be known. Of a person who was erased, nothing is kept.
            about: type and call id of the record, bound to the ciphertext.
            values: field name → bytes (UTF-8 text).
        """
        salts = ENTROPY.take(SALT_BYTES * len(values) + NONCE_BYTES)
        nonce = salts[-NONCE_BYTES:]
        commitments, kept = {}, {}
        for place, (field, value) in enumerate(values.items()):
            salt = salts[place * SALT_BYTES : (place + 1) * SALT_BYTES]
            commitments[field + "_c"] = commitment(salt, field, value)
            kept[field] = (salt.hex(), value.decode())
        key = self._keys.get(subject)
        if key is None:
            if subject not in self._erased:
                raise KeyError(f"the key of subject {subject} is not known")
            return Sealing(commitments, subject, b"", object())
        sealed = nonce + key.encrypt(nonce, orjson.dumps(kept), about.encode())
        return Sealing(commitments, subject, sealed, key)

    def open(
        self, subject: str, about: str, sealed: bytes, commitments: Mapping[str, str]
    ) -> dict[str, Opened]:
        """Return every value of a row, each with whether it is the one that the record commits to.

        Raises:
            LedgerCorruptError: the row was changed, or belongs to another record.
        """
        opened = {}
        for field, salt, value in self.disclose(subject, about, sealed):
            stated = commitments.get(field + "_c", "")
            found = commitment(salt, field, value.encode())
            opened[field] = Opened(value.encode(), hmac.compare_digest(stated, found))
        return opened

    def disclose(self, subject: str, about: str, sealed: bytes) -> list[tuple[str, bytes, str]]:
        """Return every value of a row: field, the salt of its commitment, and the value.

        Raises:
            LedgerCorruptError: the row was changed, or belongs to another record.
        """
        try:
            plain = self._keys[subject].decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
        except (InvalidTag, KeyError, TypeError, ValueError):  # as above
            raise LedgerCorruptError(f"the vault's values for {about} do not open") from None
        return [(field, bytes.fromhex(salt), value) for field, (salt, value) in orjson.loads(plain).items()]


def _make_key_file(path: Path) -> None:
    """Create the file with a fresh key, whole or not at all, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, os.urandom(KEY_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its key is the one
    finally:
        draft.unlink()
