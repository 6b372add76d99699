"""Characters that look like one ASCII letter or digit, by Unicode's table of confusables (UTS #39)."""

from functools import cache

_BEYOND_UTS39 = {"ε": "e", "κ": "k", "τ": "t", "η": "n", "µ": "u", "μ": "u", "ʟ": "l"}


@cache
def ascii_twins() -> dict[str, str]:
    """Return each such character with the letter, in lower case, or digit that it is read as."""
    from confusable_homoglyphs.confusables import (  # type: ignore[import-untyped]  # noqa: PLC0415  # ships no types; slow to load
        confusables_data,
    )

    table = dict(_BEYOND_UTS39)
    for character, twins in confusables_data.items():
        plain = [
            twin["c"] for twin in twins if len(twin["c"]) == 1 and twin["c"].isascii() and twin["c"].isalnum()
        ]
        if len(character) == 1 and not character.isascii() and plain:
            table.setdefault(character, plain[0].lower())
    return table
