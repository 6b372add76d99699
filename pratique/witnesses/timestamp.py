"""A time-stamp authority, by RFC 3161: it signs that this checkpoint existed at this time.

Rules:
- It remembers nothing and checks no growth: a fork can be stamped as well. What it adds is a time that the
  log's owner could not choose later.
- The answer is verified up to the certificate that the settings name before it is kept, and whenever it
  counts.
- The library is an extra: `pip install 'pratique[timestamp]'`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from pratique.audit.checkpoint import SignedCheckpoint
from pratique.errors import SettingsError, WitnessError
from pratique.ledger.verification import Claim
from pratique.witnesses.kinds import Evidence, Proof, post

OK = 200


class TimestampWitness:
    """Has checkpoints stamped.

    Args:
        name: by which the settings know it.
        url: of the authority.
        certificate: a PEM file with the root that its answers lead to, and what lies between, if it sends
            none.

    Raises:
        SettingsError: the file holds no certificate, or the library is not installed.
    """

    def __init__(self, name: str, url: str, certificate: Path) -> None:
        try:
            import rfc3161_client  # noqa: PLC0415  # an extra
        except ImportError:
            raise SettingsError(
                f"witnesses.{name}: time-stamps need a library: pip install 'pratique[timestamp]'"
            ) from None
        self.name, self._url, self._client = name, url, rfc3161_client
        try:
            found = x509.load_pem_x509_certificates(certificate.read_bytes())
        except (OSError, ValueError) as problem:
            raise SettingsError(f"witnesses.{name}: {certificate}: {problem}") from None
        self._roots = [each for each in found if each.subject == each.issuer]
        self._between = [each for each in found if each.subject != each.issuer]
        if not self._roots:
            raise SettingsError(f"witnesses.{name}: {certificate} holds no root certificate")

    def push(self, signed: SignedCheckpoint, old: int, proof: Proof) -> bytes:
        """Have the checkpoint stamped; return the answer; see `Witness.push`."""
        del old, proof
        builder = self._client.TimestampRequestBuilder().data(signed.note.text.encode())
        request = builder.hash_algorithm(self._client.HashAlgorithm.SHA256).nonce(nonce=True).build()
        status, answer = post(self._url, request.as_bytes(), "application/timestamp-query")
        if status != OK:
            raise WitnessError(f"{self._url}: {status}, it refused")
        self._stamped(signed, answer, request.nonce)
        return answer

    def held(self, kept: Sequence[Evidence]) -> list[Claim]:
        """Return the newest checkpoint that was stamped; see `Witness.held`."""
        for evidence in reversed(kept):
            at = self._stamped(evidence.signed, evidence.answer)
            return [Claim(evidence.signed.checkpoint, f"{self.name}, time-stamp", outside=True, at=at)]
        return []

    def asked(self, newest: SignedCheckpoint) -> int:
        """Return 0: an authority remembers nothing."""
        del newest
        return 0

    def _stamped(self, signed: SignedCheckpoint, answer: bytes, nonce: int | None = None) -> int:
        """Return when, by the authority's clock, seconds since the epoch.

        Raises:
            WitnessError: the answer is not a valid time-stamp of this checkpoint.
        """
        builder = self._client.VerifierBuilder(roots=list(self._roots), intermediates=list(self._between))
        if nonce is not None:
            builder = builder.nonce(nonce)
        try:
            found: Any = self._client.decode_timestamp_response(answer)
            builder.build().verify_message(found, signed.note.text.encode())
        except (ValueError, self._client.VerificationError) as problem:
            raise WitnessError(f"{self._url}: not a valid time-stamp: {problem}") from None
        return int(found.tst_info.gen_time.timestamp())
