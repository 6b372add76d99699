"""Every kind of damage gets the right verdict, from the product and from the verifier that shares no code."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from pratique.audit.bundle import Trust
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.note import Verifier
from pratique.ledger.bundles import verify_bundle_at
from tests.corpus.make import ENTRIES, Entry, index, make

HERE = Path(__file__).parent
STANDALONE = HERE.parents[1] / "verifier" / "pratique_verify.py"
CODES = {"OK": 0, "BROKEN": 1, "UNANCHORED": 3}


def trust(arguments: list[str]) -> Trust:
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    return Trust(
        Verifier.parse(given["--key"]) if "--key" in given else None,
        [SignedCheckpoint.parse(Path(given["--checkpoint"]).read_text())] if "--checkpoint" in given else [],
        [Verifier.parse(given["--witness"])] if "--witness" in given else [],
    )


@pytest.fixture(scope="module")
def standalone() -> Any:
    """The standalone verifier as a module: it must not have been imported from anywhere else."""
    spec = importlib.util.spec_from_file_location("pratique_verify_under_test", STANDALONE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_both_verifiers_give_the_right_verdict(
    entry: Entry, tmp_path: Path, standalone: Any, capsys: Any
) -> None:
    arguments = make(entry, tmp_path)
    expected = (entry.verdict, entry.kind, entry.broken_at)
    report = verify_bundle_at(Path(arguments[0]), trust(arguments))
    assert (report.verdict.value, report.kind and report.kind.value, report.broken_at) == expected, (
        report.problem
    )
    code = standalone.main([*arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["kind"], found["broken_at"]) == expected, found["problem"]
    assert code == CODES[entry.verdict]
    assert "\n" not in found["problem"]
    assert "\n" not in report.problem


def test_the_committed_index_is_what_the_generator_makes() -> None:
    assert (HERE / "corpus.json").read_bytes() == index(), "run: python -m tests.corpus.make --index"
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
