"""Replay: every recorded decision made again by another policy, out of a real ledger file.

    python -m benchmarks.replay

The log is written through the ledger's own sequencer, as the runtime writes it. `coarse` are calls that no
condition asks about: their arguments stay in the vault. `arguments` are calls of which every one is
decrypted, checked against its record and looked at. Rates are of CPU time; the reference is reading and
hashing the same records.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import process_time

import orjson

from benchmarks.table import Row
from pratique.capabilities.policy import Policy
from pratique.capabilities.snapshot import Snapshot
from pratique.ledger import policies, queries
from pratique.ledger.door import Ledger
from pratique.ledger.replay import Stretch, replay
from pratique.ledger.sequencer import Entry
from pratique.model import ENGINE

BUDGET = 100_000
TOOLS, AGENTS = 40, 20

BEFORE = """
[agents]
{agents}
[constraints]
small = "amount <= 50"

[[allow]]
id = "all"
to = "*"
tools = ["n.*"]
taint = "sink"
"""

COARSE = BEFORE + '\n[[deny]]\nid = "one"\nto = "a7"\ntools = ["n.do7"]\n'
ARGUMENTS = BEFORE.replace('taint = "sink"', 'taint = "sink"\nwhen = "small"')


def policy(text: str) -> Policy:
    """Return one of the policies, with its agents."""
    agents = "\n".join(f'a{n} = {{ owner = "o@acme.example" }}' for n in range(AGENTS))
    return Policy(text.format(agents=agents))


def entries(ledger: Ledger, number: int) -> Iterator[Entry]:
    """Yield reads as the runtime records them."""
    digest = policy(BEFORE).digest
    subject = ledger.vault.subject_id("kim@acme.example")
    ledger.commit_now(Entry(drafts=(), keys=((subject, ledger.vault.new_key(subject)),)))
    ledger.read(lambda connection: ledger.learn(connection, subject))
    for n in range(number):
        draft = {
            "type": "call.outcome",
            "session": f"s_{n // 50:016x}",
            "trace_id": f"{n // 50:032x}",
            "agent": f"a{n % AGENTS}",
            "tenant": "default",
            "tool": f"n.do{n % TOOLS}",
            "tool_digest": hashlib.sha256(b"tool").hexdigest(),
            "tier": "read",
            "call_id": f"c{n}",
            "confidentiality": "public",
            "taint": "context" if n % 3 else "none",
            "lineage": [],
            "digest": hashlib.sha256(b"call").hexdigest(),
            "epoch": 1,
            "policy_digest": digest,
            "engine": ENGINE,
            "effect": "allow",
            "rules": ["all"],
            "reasons": ["all allows"],
            "ticket": "",
            "approved_by": [],
            "outcome": "done",
            "error": "",
            "dur_us": 120,
            "level": "inline",
            "bytes_in": 40,
            "bytes_out": 40,
            "label_out": {"integrity": "trusted", "confidentiality": "public", "sources": []},
        }
        values = {"args": orjson.dumps({"amount": n % 100, "text": "x" * 20}), "result": b'{"seen":"x"}'}
        kept = ledger.seal(subject, queries.about(draft), values)
        yield Entry(drafts=({**draft, **kept.commitments},), values=(kept,))


def grow(ledger: Ledger, number: int) -> None:
    """Write so many reads, many to a transaction."""
    policies.apply(ledger, policy(BEFORE), "ana@acme.example", 0)
    made = entries(ledger, number)
    while some := list(islice(made, 1000)):
        drafts = tuple(entry.drafts[0] for entry in some)
        ledger.commit_now(Entry(drafts=drafts, values=tuple(entry.values[0] for entry in some)))


def hashed(ledger: Ledger) -> float:
    """Return how many records a second plain SHA-256 takes, read from the same file."""
    start = process_time()
    records = ledger.read(lambda connection: sum(1 for _ in map(_digest, queries.stored(connection))))
    return records / (process_time() - start)


def _digest(row: tuple[int, bytes, bytes]) -> bytes:
    return hashlib.sha256(row[2]).digest()


def rate(ledger: Ledger, text: str, number: int) -> float:
    """Return decisions a second."""
    start = process_time()
    report = replay(ledger, Snapshot(policy(text), 2), Stretch())
    took = process_time() - start
    assert report.decisions == number, report
    return report.decisions / took


def rows(*, quick: bool = False) -> list[Row]:
    """Return the table."""
    number = 20_000 if quick else 200_000
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder)) as ledger:
        grow(ledger, number)
        plain = hashed(ledger)
        found = []
        for what, text, budget in (("coarse", COARSE, BUDGET), ("arguments", ARGUMENTS, 0)):
            best = max(rate(ledger, text, number) for _ in range(3))
            found.append(
                Row(
                    f"{what}: {number:,} decisions, two policies each",
                    f"{best:,.0f}/s",
                    f"{best / plain:.2f} of reading and hashing",
                    f"{budget:,}/s" if budget else "",
                    best >= budget if budget else None,
                )
            )
    return found


if __name__ == "__main__":
    from benchmarks.table import show

    show("replay", rows())
