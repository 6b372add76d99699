"""The end of the demo: a checkpoint, a bundle, and a verifier that has never seen Pratique.

Rules:
- The verifier runs as a process of its own, isolated from this installation: it gets the bundle, the key,
  and the checkpoint that was kept, and nothing else.
- The copy that is tampered with is changed where it hurts: somebody else approved.
"""

import gzip
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from pratique.audit.chain import Verdict
from pratique.cli.demo_screen import Screen
from pratique.errors import DependencyError
from pratique.ledger import queries
from pratique.ledger.bundles import RECORDS, write_bundle
from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry
from pratique.settings import Settings

SECONDS = 60


def prove(screen: Screen, settings: Settings) -> dict[str, Any]:
    """Export the log, have it verified, and have a tampered copy refused; return both verdicts."""
    folder = settings.path(Path("evidence"))
    bundle, kept, key = folder / "bundle", folder / "checkpoint", folder / "log.pub"
    with Ledger(settings.path(settings.folder)) as ledger:
        ledger.commit_now(Entry((), checkpoint=True))  # whatever the cadence made of a short run
        text = str(ledger.keys.first.verifier)
        written = ledger.read(lambda connection: write_bundle(connection, bundle, key=text))
        note = ledger.read(queries.newest_checkpoint)
    kept.write_text("" if note is None else str(note.note), encoding="utf-8")
    key.write_text(text + "\n", encoding="utf-8")
    screen.section("pratique-verify, on the exported bundle")
    screen.say(f"records {written.first} to {written.last}, a checkpoint kept elsewhere, the log's key")
    whole = _verified(screen, bundle, key, kept)
    screen.section("pratique-verify, on a copy in which somebody else approved")
    tampered = folder / "tampered"
    shutil.copytree(bundle, tampered)
    screen.say(_somebody_else(tampered / RECORDS))
    damaged = _verified(screen, tampered, key, kept)
    return {
        "bundle": whole,
        "tampered_bundle": damaged,
        "as_it_should_be": whole["verdict"] == Verdict.OK and damaged["verdict"] == Verdict.BROKEN,
    }


def _verified(screen: Screen, bundle: Path, key: Path, kept: Path) -> dict[str, Any]:
    """Return what the standalone verifier says, and show it."""
    found = importlib.util.find_spec("pratique_verify")
    if found is None or found.origin is None:
        raise DependencyError("pratique_verify is not installed beside pratique: install the wheel again")
    given = [str(bundle), "--key", str(key), "--checkpoint", str(kept)]
    command = [sys.executable, "-I", found.origin, *given]
    told = subprocess.run([*command, "--json"], capture_output=True, timeout=SECONDS, check=False)  # noqa: S603  # our own file
    verdict: dict[str, Any] = orjson.loads(told.stdout)
    shown = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)  # noqa: S603  # as above
    for line in shown.stdout.decode().splitlines():
        screen.say(line, "green" if verdict["verdict"] == Verdict.OK else "red")
    return verdict


_OTHERS = ("ana@acme.example", "li@acme.example")


def _somebody_else(records: Path) -> str:
    """Change who answered the last question; return what was changed."""
    lines = gzip.decompress(records.read_bytes()).splitlines()
    at = max(number for number, line in enumerate(lines) if b'"type":"approval.vote"' in line)
    record = orjson.loads(lines[at])
    before = record["voter"]
    record["voter"] = after = next(name for name in _OTHERS if name != before)
    lines[at] = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    records.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))
    return f"record {at + 1}: “{before}” is “{after}” now"
