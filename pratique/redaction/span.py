"""Where something was found, and what kinds of things there are to find.

Rules:
- A kind is what can be turned on and off; a name is what stands in the text's place.
"""

from typing import Final, Literal, NamedTuple, get_args

Kind = Literal["keys", "cards", "iban", "phones", "emails"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Span(NamedTuple):
    """A piece of text that should not be shown.

    `start` and `end` count characters in what `find` returns.
    """

    start: int
    end: int
    kind: Kind
    name: str


def merged(spans: list[Span]) -> list[Span]:
    """Return the spans in order, those that overlap as one; the first and longest names it."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if result and span.start < result[-1].end:
            if span.end > result[-1].end:
                result[-1] = result[-1]._replace(end=span.end)
        else:
            result.append(span)
    return result
