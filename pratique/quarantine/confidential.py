"""Values that may not leave: found in whatever an agent is about to send.

Rules:
- Found loosely: in any case, spacing or punctuation, and inside base64 or hex.
- A value that the user named in the request may be used: it was given for that.
- Watching is bounded; beyond the bound, `saturated` says that something is not watched.
"""

from collections.abc import Iterator

from pratique.origin import Source
from pratique.quarantine.normalise import squeeze
from pratique.quarantine.tokens import tokenise

_SHORTEST = 6
_MOST_SQUEEZED = 64


class Confidential:
    """The confidential values of one session.

    Args:
        most: how many of them to watch.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_first: dict[bytes, list[tuple[list[bytes], str, Source]]] = {}
        self._squeezed: list[tuple[str, str, Source]] = []
        self._kept = 0
        self.saturated = False

    def __bool__(self) -> bool:
        """Whether anything is watched."""
        return self._kept > 0

    def add(self, text: str, value: str, source: Source) -> None:
        """Watch a value, given in its loose form and as it is; one of fewer than six letters is noise."""
        tokens, squeezed = tokenise(text), squeeze(text)
        if len(squeezed) < _SHORTEST:
            return
        if self._kept >= self._most:
            self.saturated = True
            return
        self._kept += 1
        self._by_first.setdefault(tokens[0], []).append((tokens, value, source))
        if len(self._squeezed) < _MOST_SQUEEZED:
            self._squeezed.append((squeezed, value, source))

    def within(self, text: str) -> Iterator[tuple[str, Source]]:
        """Yield each watched value, as it is, that stands in a loosely normalised text, and its source."""
        seen, tokens, squeezed = set(), tokenise(text), squeeze(text)
        for value, source in (*self._runs(tokens), *self._inside(squeezed)):
            if value not in seen:
                seen.add(value)
                yield value, source

    def _runs(self, tokens: list[bytes]) -> Iterator[tuple[str, Source]]:
        """Yield the values that stand there word by word."""
        for place, token in enumerate(tokens):
            for wanted, value, source in self._by_first.get(token, ()):
                if tokens[place : place + len(wanted)] == wanted:
                    yield value, source

    def _inside(self, squeezed: str) -> Iterator[tuple[str, Source]]:
        """Yield the values that stand there once everything between letters is dropped."""
        return ((value, source) for wanted, value, source in self._squeezed if wanted in squeezed)
