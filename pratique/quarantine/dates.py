"""A date in a text, however it is written: in digits, or as the name of a month next to a day.

Rules:
- A year that stands next to the month must be the date's.
- A time of day is looked for by itself: texts write it apart from the date.
"""

import re
from functools import lru_cache

from pratique.quarantine.index import Budget, Index
from pratique.quarantine.normalise import loose
from pratique.quarantine.tokens import tokenise
from pratique.quarantine.typed import Date


def find_date(index: Index, date: Date, budget: Budget, candidates: int) -> int | None:
    """Return a field in which a date stands: in digits, or as a month's name next to a day."""
    if not len(index):
        return None
    year = str(date.year).encode()
    for run in written(date) if index.may_hold(year) else ():
        found = index.find(run, budget, candidates)
        if found.hits:
            return found.hits[0].field
    compact = b"%04d%02d%02d" % date[:3]
    if index.may_hold(compact):
        found = index.find([compact], budget, candidates)
        if found.hits:
            return found.hits[0].field
    near = index.near(date.month_words(), date.day_words(), 3, budget)
    for hit in near.hits:
        years = {
            word
            for word in tokenise(loose(index.around(hit, 200)[0]))
            if re.fullmatch(rb"(?:19|20)\d\d", word)
        }
        if not years or year in years:
            return hit.field
    return None


def has_time(index: Index, date: Date, budget: Budget) -> bool:
    """Return whether the date's time of day stands in the index."""
    return any(index.find(run, budget, 64).hits for run in date.times())


@lru_cache(maxsize=256)
def written(date: Date) -> tuple[list[bytes], ...]:
    """Return the token runs in which digits write a date; one call looks in several indexes."""
    return tuple(date.written())
