"""The log's signing keys: files of mode 0600 in a folder of mode 0700, and what was last signed with them.

Rules:
- `log.key` is the log's first key, `log.pub` its public half: what an auditor is given, once, by hand. Later
  keys are files named by their id, and come into force by a record (`pratique audit rotate-key`).
- A folder or file that others may read or write is refused, not mended.
- `signed` is the last checkpoint that was signed here. A ledger that does not contain it is another history
  than the one signed for: a restored backup, or a fork. Nothing more is signed then.

An attacker who can read these files can sign checkpoints for a forged log: only what witnesses hold shows it.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.note import ED25519, Signer, Verifier
from pratique.errors import LedgerCorruptError, LedgerUnavailableError, NoteError

FIRST: Final = "log.key"
PUBLIC: Final = "log.pub"
SIGNED: Final = "signed"
SEED_BYTES: Final = 32


class KeyFolder:
    """Reads and makes key files.

    Args:
        folder: made, with a first key, when it is not there.
        log: the log's name, which is the keys' name.

    Raises:
        LedgerUnavailableError: the folder or a file cannot be made or read, or others may read it.
        LedgerCorruptError: a file does not hold a key of this log.
    """

    def __init__(self, folder: Path, log: str) -> None:
        self.folder, self._log = folder, log
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            refuse_open(folder)
            if not (folder / FIRST).exists():
                self._make(folder / FIRST)
        except OSError as problem:
            raise LedgerUnavailableError(f"{folder}: {problem.strerror}") from problem
        self.first = self._read(folder / FIRST)
        self._known = {str(self.first.verifier): self.first}
        self._publish()

    def signer(self, key: str) -> Signer:
        """Return the private key of a public one.

        Raises:
            LedgerUnavailableError: it is not in this folder.
        """
        signer = self._known.get(key)
        if signer is None:
            signer = self._read(self.folder / f"{Verifier.parse(key).key_id.hex()}.key")
            if str(signer.verifier) != key:
                raise LedgerCorruptError(f"{self.folder}: the file of {key} holds another key")
            self._known[key] = signer
        return signer

    def make(self) -> Signer:
        """Make a new key, as a file; it signs nothing before a record brings it into force."""
        seed = os.urandom(SEED_BYTES)
        signer = Signer(self._log, ED25519, seed)
        self._write(self.folder / f"{signer.verifier.key_id.hex()}.key", signer)
        self._known[str(signer.verifier)] = signer
        return signer

    def last_signed(self) -> SignedCheckpoint | None:
        """Return the last checkpoint that was signed here, or None."""
        return last_signed(self.folder)

    def remember(self, signed: SignedCheckpoint) -> None:
        """Write down what was signed, in place of what was before."""
        draft = self.folder / f"{SIGNED}.{os.getpid()}"
        draft.write_text(str(signed.note), encoding="utf-8")
        draft.replace(self.folder / SIGNED)

    def _make(self, path: Path) -> None:
        self._write(path, Signer(self._log, ED25519, os.urandom(SEED_BYTES)))

    def _write(self, path: Path, signer: Signer) -> None:
        """Write the key, whole or not at all, unless another process was first."""
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, f"{signer.private_text()}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()

    def _read(self, path: Path) -> Signer:
        try:
            refuse_open(path)
            signer = Signer.parse(path.read_text(encoding="utf-8"))
        except OSError as problem:
            raise LedgerUnavailableError(f"{path}: {problem.strerror}") from problem
        except (NoteError, UnicodeDecodeError):
            raise LedgerCorruptError(f"{path} does not hold a signing key") from None
        if signer.name != self._log:
            raise LedgerCorruptError(f"{path} is a key of {signer.name}, this log is {self._log}")
        return signer

    def _publish(self) -> None:
        public = self.folder / PUBLIC
        with contextlib.suppress(OSError):
            if not public.exists():
                public.write_text(f"{self.first.verifier}\n", encoding="utf-8")


def refuse_open(path: Path) -> None:
    """Raise unless only its owner, who is us or root, may use the file or folder.

    Raises:
        LedgerUnavailableError: others may.
        OSError: there is no such path.
    """
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & 0o077:
        mode = "700" if path.is_dir() else "600"
        raise LedgerUnavailableError(f"{path} may be used by others: chmod {mode} {path}")
    if found.st_uid not in (os.geteuid(), 0):
        raise LedgerUnavailableError(f"{path} belongs to another user than this one")


def last_signed(folder: Path) -> SignedCheckpoint | None:
    """Return the last checkpoint that was signed with the keys of a folder; None when nothing can be said."""
    try:
        return SignedCheckpoint.parse((folder / SIGNED).read_bytes())
    except (OSError, NoteError):
        return None


def first_key(folder: Path) -> Verifier | None:
    """Return the public half of the first key of a folder, or None."""
    try:
        return Verifier.parse((folder / PUBLIC).read_text(encoding="utf-8"))
    except (OSError, NoteError, UnicodeDecodeError):
        return None
