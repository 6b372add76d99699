"""How much one session's provenance may cost, in memory and in time.

Rules:
- Every bound is a number here. Nothing else in this room grows with what a stranger sends.
- Reaching a bound is said (`Tracker.saturated`, an origin that is `unsearched`) and counts as tainted.
"""

from pydantic import Field

from pratique.model import Value


class Limits(Value):
    """Bounds of one session's tracker.

    The defaults hold about 10 MB of prose and keep a session under about 50 MB, whatever it is sent. The
    index costs 8 bytes per token plus its text: 2 to 4 MB per MB of words, distinct or not, and 8 for single
    letters.

    Attributes:
        text_bytes: normalised bytes from outside that are indexed.
        tokens: tokens from outside that are indexed.
        fields: result fields from outside that are told apart.
        vouched: whole values (ids, names, times) remembered as made or vouched for by a system. More of them
            are forgotten, which costs a question and never gives trust.
        names: values that could name a record when the user speaks again.
        confidential: values watched for on their way out.
        request_bytes: characters of trusted request text that are kept.
        candidates: places looked at for one needle.
        steps: places looked at for all needles of one call.
        rereads: bytes from outside that are read again for one call, in search of spread-out letters.
        depth: levels that decoded text is decoded again.
        shortest: characters (punctuation aside) below which a match is noise: no taint, no trust.
        excerpt: characters of an excerpt on a card.
    """

    text_bytes: int = Field(default=12_000_000, gt=0)
    tokens: int = Field(default=2_500_000, gt=0)
    fields: int = Field(default=200_000, gt=0)
    vouched: int = Field(default=20_000, ge=0)
    names: int = Field(default=5_000, ge=0)
    confidential: int = Field(default=2_000, ge=0)
    request_bytes: int = Field(default=1_000_000, gt=0)
    candidates: int = Field(default=512, gt=0)
    steps: int = Field(default=40_000, gt=0)
    rereads: int = Field(default=128_000_000, gt=0)
    depth: int = Field(default=3, ge=0)
    shortest: int = Field(default=4, gt=0)
    excerpt: int = Field(default=160, ge=40)
