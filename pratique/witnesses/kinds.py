"""What every witness does: it takes a checkpoint, and what it holds can be held against the log later.

Rules:
- A witness is given the checkpoint and, if it wants one, a proof that the log only grew since the last one.
- Its evidence authenticates itself, or lies where it is read again. What a database says that a witness said
  counts for nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import httpx2

from pratique.audit.checkpoint import SignedCheckpoint
from pratique.errors import WitnessError
from pratique.ledger.verification import Claim

SECONDS: Final = 10.0
LARGEST_ANSWER: Final = 64 * 1024

Proof = Callable[[int, int], tuple[bytes, ...]]
"""Old and new size → consistency proof."""


class Evidence(NamedTuple):
    """What the ledger keeps of a witness: for which size, and its answer."""

    signed: SignedCheckpoint
    answer: bytes


class Witness(Protocol):
    """Somebody who holds checkpoints."""

    name: str

    def push(self, signed: SignedCheckpoint, old: int, proof: Proof) -> bytes:
        """Hand over a checkpoint; return the evidence to keep. Not retried here.

        Args:
            signed: the newest checkpoint.
            old: the size that it took last, as far as is known.
            proof: makes consistency proofs.

        Raises:
            WitnessError: it did not take it, or what it answered is not valid.
        """

    def held(self, kept: Sequence[Evidence]) -> list[Claim]:
        """Return what it verifiably holds.

        Args:
            kept: the evidence in the ledger, the smallest size first.

        Raises:
            WitnessError: what it holds cannot be read, or evidence is forged.
        """

    def asked(self, newest: SignedCheckpoint) -> int:
        """Ask it, over the network if need be, which size it holds; 0 when it cannot say.

        Raises:
            WitnessError: it does not answer.
        """


def post(url: str, body: bytes, content_type: str) -> tuple[int, bytes]:
    """Send one request; return status and body.

    Raises:
        WitnessError: there is no answer, or one that is too large.
    """
    try:
        with (
            httpx2.Client(timeout=SECONDS, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers={"Content-Type": content_type}) as answer,
        ):
            found = b""
            for piece in answer.iter_bytes():
                found += piece
                if len(found) > LARGEST_ANSWER:
                    raise WitnessError(f"{url}: the answer is too large")
            return answer.status_code, found
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as problem:
        raise WitnessError(f"{url}: {str(problem) or type(problem).__name__}") from None
