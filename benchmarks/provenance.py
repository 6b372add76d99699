"""What provenance costs: ingest, memory, and one look-up per call: `python -m benchmarks provenance`.

Rules:
- Prose is drawn from a Zipf vocabulary. A call has 6 arguments and a body of 500 characters, half of it
  quoted from what was seen.
- Times are this process's own CPU, the sizes measured in turn; of several rounds the best median counts,
  because a neighbour on the machine can only make a round slower.
"""

import gc
import itertools
import random
import statistics
import string
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.table import Row
from pratique.model import Tier
from pratique.quarantine.provenance import Tracker
from pratique.quarantine.verdict import judge

SIZES = {"10 KB": 10_000, "1 MB": 1_000_000, "10 MB": 10_000_000}
CLASSES = {"to": "dest", "message": "selector:message", "amount": "amount", "when": "sched"}
FIELDS = {"messages[].id": "meta:message", "messages[].from": "identity"}
REQUEST = "Answer the message from bob@example.com about the order, and pay 120.50 to DE02120300000000202051."
CALLS = 200
ROUNDS = 6
BUDGET_US = 300
BUDGET_GROWTH = 2.0
BUDGET_MEMORY = 5.0

Words = Callable[[int], str]


def prose(rng: random.Random) -> Words:
    vocabulary = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 11))) for _ in range(40_000)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))
    return lambda size: " ".join(rng.choices(vocabulary, cum_weights=weights, k=size // 6 + 1))[:size]


def distinct(_: random.Random) -> Words:
    counter = itertools.count(1_000_000)
    return lambda size: " ".join(f"{next(counter):x}" for _ in range(size // 6))[:size]


def near_misses(_: random.Random) -> Words:
    return lambda size: (
        "answer to bob example org about the order and pay 120 51 to de02 " * (size // 60 + 1)
    )[:size]


def letters(_: random.Random) -> Words:
    return lambda size: ("a b c d " * (size // 8 + 1))[:size]


SHAPES = {
    "prose": prose,
    "all tokens distinct": distinct,
    "near misses": near_misses,
    "single letters": letters,
}


def messages(words: Words, size: int) -> Iterator[dict[str, object]]:
    for number in range(max(1, size // 2000)):
        yield {"id": f"m{number}", "from": f"p{number % 50}@example.com", "body": words(min(size, 2000))}


def ingest(words: Words, size: int) -> tuple[Tracker, float, list[dict[str, object]]]:
    tracker = Tracker()
    tracker.saw_request(REQUEST)
    batch = list(messages(words, size))
    started = time.process_time()
    for start in range(0, len(batch), 50):
        tracker.saw_result(f"c{start}", "mail.list", {"messages": batch[start : start + 50]}, FIELDS)
    return tracker, time.process_time() - started, batch


def arguments(rng: random.Random, words: Words, batch: list[dict[str, object]]) -> dict[str, object]:
    seen = str(rng.choice(batch)["body"])
    start = rng.randrange(max(1, len(seen) - 250))
    return {
        "to": rng.choice(["bob@example.com", "eve@example.org", "p7@example.com"]),
        "message": f"m{rng.randrange(len(batch))}",
        "subject": words(40),
        "body": seen[start : start + 250] + words(250),
        "amount": rng.choice([120.5, 99, 1000]),
        "when": "2026-05-30 10:20",
    }


class Session(NamedTuple):
    """A session that has seen something, calls that it could make, and what taking in cost."""

    tracker: Tracker
    calls: list[dict[str, object]]
    rate: float


def session(make: Callable[[random.Random], Words], size: int) -> Session:
    rng = random.Random(1)  # noqa: S311  # test data, no secret
    words = make(rng)
    tracker, seconds, batch = ingest(words, size)
    return Session(tracker, [arguments(rng, words, batch) for _ in range(CALLS)], size / 1e6 / seconds)


def look_ups(tracker: Tracker, calls: list[dict[str, object]]) -> float:
    """Return the median cost of a call, in microseconds."""
    times = []
    for call in calls:
        started = time.process_time()
        judge(tracker.trace("mail.send", call, CLASSES), Tier.WRITE, exposed=tracker.exposed)
        times.append((time.process_time() - started) * 1e6)
    return statistics.median(times)


def memory(make: Callable[[random.Random], Words], size: int) -> float:
    words = make(random.Random(1))  # noqa: S311  # test data, no secret
    batch = list(messages(words, size))
    gc.collect()
    tracemalloc.start()
    tracker = Tracker()
    for start in range(0, len(batch), 50):
        tracker.saw_result(f"c{start}", "mail.list", {"messages": batch[start : start + 50]}, FIELDS)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / size if tracker.exposed else 0


def rows(*, quick: bool = False) -> list[Row]:
    """Measure; `quick` leaves out the largest session of every shape."""
    sizes = dict(list(SIZES.items())[: 2 if quick else 3])
    return [*_calls(sizes), *_shapes(1_000_000)]


def _calls(sizes: dict[str, int]) -> Iterator[Row]:
    """Yield what a call costs in a session of prose, by what it has seen."""
    sessions = {name: session(prose, size) for name, size in sizes.items()}
    rounds = [
        {name: look_ups(one.tracker, one.calls) for name, one in sessions.items()} for _ in range(ROUNDS)
    ]
    costs = {name: min(measured[name] for measured in rounds) for name in sessions}
    for name, one in sessions.items():
        told: tuple[str, bool | None] = "", None
        if name == "1 MB":
            told = f"{BUDGET_US} µs", costs[name] <= BUDGET_US
        elif name == "10 MB":
            growth = costs[name] / costs["10 KB"]
            told = f"{BUDGET_GROWTH:.0f} times 10 KB: {growth:.1f}", growth <= BUDGET_GROWTH
        yield Row(
            f"a call, {name} of prose seen", f"ingest {one.rate:.1f} MB/s", f"{costs[name]:.0f} µs", *told
        )


def _shapes(size: int) -> Iterator[Row]:
    """Yield the memory of a session of each shape, and what a call costs in it."""
    for shape, make in SHAPES.items():
        held, one = memory(make, size), session(make, size)
        cost = min(look_ups(one.tracker, one.calls) for _ in range(ROUNDS // 2))
        about = f"ingest {one.rate:.1f} MB/s, a call {cost:.0f} µs"
        budget = f"{BUDGET_MEMORY:.0f} MB per MB"
        yield Row(
            f"memory, {size / 1e6:.0f} MB: {shape}",
            about,
            f"{held:.1f} MB per MB",
            budget,
            held <= BUDGET_MEMORY,
        )
