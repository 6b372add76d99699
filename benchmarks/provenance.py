"""What provenance costs: ingest, memory, and one look-up per call, by how much the session has seen.

    python benchmarks/provenance.py

Prose is drawn from a Zipf vocabulary. A call has 6 arguments and a body of 500 characters, half of it quoted
from what was seen. Targets: 300 µs at 1 MB, 10 MB at most twice the 10 KB row, 5 MB of memory per MB seen.
"""

import gc
import itertools
import random
import statistics
import string
import time
import tracemalloc
from collections.abc import Callable, Iterator

from pratique.model import Tier
from pratique.quarantine.provenance import Tracker
from pratique.quarantine.verdict import judge

SIZES = {"10 KB": 10_000, "1 MB": 1_000_000, "10 MB": 10_000_000}
CLASSES = {"to": "dest", "message": "selector:message", "amount": "amount", "when": "sched"}
FIELDS = {"messages[].id": "meta:message", "messages[].from": "identity"}
REQUEST = "Answer the message from bob@example.com about the order, and pay 120.50 to DE02120300000000202051."
CALLS = 300

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
    started = time.perf_counter()
    for start in range(0, len(batch), 50):
        tracker.saw_result(f"c{start}", "mail.list", {"messages": batch[start : start + 50]}, FIELDS)
    return tracker, time.perf_counter() - started, batch


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


def look_ups(
    tracker: Tracker, rng: random.Random, words: Words, batch: list[dict[str, object]]
) -> list[float]:
    times = []
    for _ in range(CALLS):
        call = arguments(rng, words, batch)
        started = time.perf_counter()
        judge(tracker.trace("mail.send", call, CLASSES), Tier.WRITE, exposed=tracker.exposed)
        times.append((time.perf_counter() - started) * 1e6)
    return times


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


def main() -> None:
    print(
        f"{'seen':8} {'shape':20} {'ingest MB/s':>12} {'call µs':>9} {'p95 µs':>9} {'MB per MB':>9} saturated"
    )
    for shape, make in SHAPES.items():
        for name, size in SIZES.items():
            rng = random.Random(1)  # noqa: S311  # test data, no secret
            words = make(rng)
            tracker, seconds, batch = ingest(words, size)
            times = look_ups(tracker, rng, words, batch)
            p95 = statistics.quantiles(times, n=20)[-1]
            median = statistics.median(times)
            held = memory(make, size)
            print(
                f"{name:8} {shape:20} {size / 1e6 / seconds:12.1f} {median:9.0f} {p95:9.0f} {held:9.1f}"
                f" {tracker.saturated}",
                flush=True,
            )


if __name__ == "__main__":
    main()
