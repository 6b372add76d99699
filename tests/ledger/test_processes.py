"""Promise 4 with company: several processes on one file make one chain, and lose nothing."""

import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pratique.audit.chain import Verdict
from tests.house import House, records, sql, verify


def start(house: House, name: str, count: int, tasks: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.committer", str(house.folder), name, str(count), str(tasks)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def acknowledged(text: str) -> dict[int, str]:
    whole = [line.split() for line in text.splitlines() if len(line.split()) == 2]
    return {int(seq): leaf for seq, leaf in whole if len(leaf) == 64}


def test_processes_that_commit_at_once_make_one_chain(empty_house: House) -> None:
    processes = [start(empty_house, name, 300, 8) for name in "ab"]
    for process in processes:
        go(process)
    said = [acknowledged(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    ledger = empty_house.ledger()
    report = verify(ledger)
    assert (report.verdict, report.records) == (Verdict.UNANCHORED, 600)
    stored = {seq: leaf.hex() for seq, leaf in sql(ledger, "SELECT seq, leaf FROM records")}
    assert said[0] | said[1] == stored
    assert not said[0].keys() & said[1].keys()
    texts = [record["text"] for record in records(ledger)]
    assert sorted(texts) == sorted(f"{name}{n}" for name in "ab" for n in range(300))
    assert any(a[0] != b[0] for a, b in pairwise(texts)), "they did commit at once"


@pytest.mark.parametrize("after", [1, 40])
def test_a_process_killed_among_others_loses_nothing_it_acknowledged(empty_house: House, after: int) -> None:
    doomed, other = start(empty_house, "a", 100_000, 8), start(empty_house, "b", 100, 4)
    go(doomed)
    go(other)
    assert doomed.stdout is not None
    read = [doomed.stdout.readline() for _ in range(after)]
    doomed.send_signal(signal.SIGKILL)
    rest, _ = doomed.communicate(timeout=60)
    said = acknowledged("".join(read) + rest) | acknowledged(other.communicate(timeout=60)[0])
    assert other.returncode == 0
    ledger = empty_house.ledger()
    stored = {seq: leaf.hex() for seq, leaf in sql(ledger, "SELECT seq, leaf FROM records")}
    assert len(said) >= after + 100
    assert said.items() <= stored.items()
    assert verify(ledger).verdict is Verdict.UNANCHORED
    assert verify(ledger).records == len(stored)


def test_processes_that_open_a_new_folder_at_once_agree_on_everything(tmp_path: Path) -> None:
    house = House(tmp_path / "new" / "ledger", lambda: 0, None)  # type: ignore[arg-type]  # no clock, no desk: only a folder
    processes = [start(house, name, 20, 2) for name in "abc"]
    for process in processes:
        go(process)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    ledger = house.ledger()
    assert verify(ledger).records == 60
    assert len({record["log"] for record in records(ledger)}) == 1
    house.close()
