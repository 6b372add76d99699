"""A witness on the network, by C2SP `tlog-witness`: it checks that the log only grew, and signs what it saw.

Rules:
- It is given the last size that it took and a consistency proof. A 409 says which size it has: then once
  more.
- Its cosignature is verified before it is kept, with the key that the settings name, and again whenever it
  counts.
"""

import base64
from collections.abc import Sequence

from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.note import COSIGNATURE, Note, SignatureLine, Verifier, parse_line
from pratique.errors import NoteError, WitnessError
from pratique.ledger.verification import Claim
from pratique.witnesses.kinds import Evidence, Proof, post

OK, CONFLICT = 200, 409
MOST_DIGITS = 16

_MEANING = {
    400: "it does not understand the request",
    403: "it does not trust the log's key: register it there (`pratique audit key`)",
    404: "it does not know this log: register it there (`pratique audit key`)",
    409: "it holds another history of this size",
    422: "the proof does not verify: it holds another history",
}


class TlogWitness:
    """Submits checkpoints over HTTP.

    Args:
        name: by which the settings know it.
        url: the submission prefix.
        key: its verifier key.
    """

    def __init__(self, name: str, url: str, key: Verifier) -> None:
        if key.kind != COSIGNATURE:
            raise WitnessError(f"{name}: {key} is not a witness's key; those are of type 4")
        self.name, self._url, self._key = name, f"{url.rstrip('/')}/add-checkpoint", key

    def push(self, signed: SignedCheckpoint, old: int, proof: Proof) -> bytes:
        """Submit the checkpoint; return the cosignature's lines; see `Witness.push`."""
        status, answer = self._submit(signed, old, proof)
        if status == CONFLICT:
            size = _size(answer)
            if size is not None and size > signed.checkpoint.size:
                raise WitnessError(
                    f"{self._url}: it holds a checkpoint of {size} records, "
                    f"this log has {signed.checkpoint.size}"
                )
            if size is not None and size != old:
                status, answer = self._submit(signed, size, proof)
        if status != OK:
            raise WitnessError(f"{self._url}: {status}, {_MEANING.get(status, 'it refused')}")
        lines = self._own(answer)
        if not self._valid(signed, lines):
            raise WitnessError(f"{self._url}: its answer has no cosignature of {self._key.name}")
        return "".join(f"{line}\n" for line in lines).encode()

    def held(self, kept: Sequence[Evidence]) -> list[Claim]:
        """Return the newest checkpoint that it cosigned; see `Witness.held`."""
        for evidence in reversed(kept):
            at = self._valid(evidence.signed, self._own(evidence.answer))
            if not at:
                raise WitnessError(
                    f"a cosignature of {self._key.name} in the ledger is not valid: it was changed"
                )
            return [Claim(evidence.signed.checkpoint, f"{self.name}, {self._key.name}", outside=True, at=at)]
        return []

    def asked(self, newest: SignedCheckpoint) -> int:
        """Return which size it holds; see `Witness.asked`. One that holds nothing takes the checkpoint."""
        status, answer = self._submit(newest, 0, lambda _, __: ())
        if status == CONFLICT:
            return _size(answer) or 0
        return newest.checkpoint.size if status == OK else 0

    def _submit(self, signed: SignedCheckpoint, old: int, proof: Proof) -> tuple[int, bytes]:
        path = proof(old, signed.checkpoint.size) if 0 < old < signed.checkpoint.size else ()
        hashes = "".join(f"{base64.b64encode(hash_).decode()}\n" for hash_ in path)
        body = f"old {old}\n{hashes}\n{signed.note}"
        return post(self._url, body.encode(), "text/plain; charset=utf-8")

    def _own(self, answer: bytes) -> list[SignatureLine]:
        try:
            lines = [parse_line(line) for line in answer.decode().splitlines()]
        except (NoteError, UnicodeDecodeError) as problem:
            raise WitnessError(f"{self._url}: not an answer of a witness: {problem}") from None
        return [line for line in lines if (line.name, line.key_id) == (self._key.name, self._key.key_id)]

    def _valid(self, signed: SignedCheckpoint, lines: Sequence[SignatureLine]) -> int | None:
        try:
            return Note(signed.note.text, tuple(lines)).signed_by([self._key]).get(self._key)
        except NoteError:
            return None


def _size(answer: bytes) -> int | None:
    text = answer.strip()
    return int(text) if text.isdigit() and len(text) <= MOST_DIGITS else None
