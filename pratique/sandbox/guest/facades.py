"""The standard modules that restricted code may import, as frozen lists of chosen names.

Rules:
- Names are chosen one by one: the modules themselves lead to `sys` and `os` through what they import.
- A facade cannot be written to, so one piece of code cannot change what the next one sees.
- What draws on randomness or the clock is there; what reaches files, processes or code is not.
"""

import importlib
from functools import cache
from typing import Any

_CHOSEN = {
    "base64": "b64encode b64decode urlsafe_b64encode urlsafe_b64decode b32encode b32decode",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "calendar": "monthrange isleap leapdays weekday",
    "cmath": "*",
    "collections": "Counter OrderedDict defaultdict deque ChainMap",
    "datetime": "date datetime time timedelta timezone UTC MINYEAR MAXYEAR",
    "decimal": "Decimal ROUND_HALF_UP ROUND_HALF_EVEN ROUND_HALF_DOWN ROUND_UP ROUND_DOWN ROUND_CEILING "
    "ROUND_FLOOR getcontext localcontext InvalidOperation",
    "fractions": "Fraction",
    "functools": "reduce partial cmp_to_key lru_cache cache",
    "hashlib": "sha256 sha1 sha512 md5 sha3_256 blake2b",
    "heapq": "heappush heappop heapify heappushpop heapreplace nlargest nsmallest merge",
    "html": "escape unescape",
    "itertools": "*",
    "json": "dumps loads JSONDecodeError",
    "math": "*",
    "random": "random randint randrange uniform choice choices sample shuffle gauss seed",
    "re": "compile match search fullmatch findall finditer sub subn split escape error "
    "IGNORECASE I MULTILINE M DOTALL S VERBOSE X ASCII A",
    "statistics": "mean fmean median median_low median_high mode multimode stdev pstdev variance pvariance "
    "quantiles harmonic_mean geometric_mean correlation linear_regression StatisticsError",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits punctuation whitespace",
    "textwrap": "wrap fill dedent indent shorten",
    "time": "time monotonic perf_counter time_ns strftime gmtime",
    "unicodedata": "normalize name category lookup",
    "uuid": "uuid4 uuid5 UUID NAMESPACE_URL NAMESPACE_DNS",
}

NAMES = tuple(sorted(_CHOSEN))


class Facade:
    """Some names of a module. Reading is all that can be done with it."""

    __slots__ = ("_names",)

    def __init__(self, names: "dict[str, Any]") -> None:
        object.__setattr__(self, "_names", names)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._names[name]
        except KeyError:
            raise AttributeError(f"{name!r} is not here; here are: {', '.join(self.names())}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name!r} cannot be set: a module is not to be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name!r} cannot be deleted: a module is not to be changed")

    def names(self) -> "list[str]":
        """What the facade has."""
        return sorted(self._names)


@cache
def find(module: str) -> "Facade | None":
    """Return the facade of a module, or None when it is not among the allowed."""
    if module not in _CHOSEN:
        return None
    real = importlib.import_module(module)
    chosen = _CHOSEN[module].split()
    if chosen == ["*"]:
        chosen = [name for name in dir(real) if not name.startswith("_")]
    # A name that this Python does not have yet (datetime.UTC before 3.11) is left out.
    return Facade({name: getattr(real, name) for name in chosen if hasattr(real, name)})
