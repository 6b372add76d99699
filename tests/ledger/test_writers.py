"""Who is alive is what the kernel says: a lock that dies with its process."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pratique.errors import LedgerUnavailableError
from pratique.ledger.writers import Writer

HOLD = """
import sys
from pathlib import Path
from pratique.ledger.writers import Writer
writer = Writer(Path(sys.argv[1]))
print(writer.id, flush=True)
sys.stdin.read()
"""


def test_a_writer_is_alive_until_it_closes(tmp_path: Path) -> None:
    first, second = Writer(tmp_path), Writer(tmp_path)
    assert first.is_alive(first.id)
    assert first.is_alive(second.id)
    assert second.is_alive(first.id)
    first.close()
    first.close()
    assert not second.is_alive(first.id)
    second.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stranger", ["w_nobody", "", "../../etc/passwd", "w\x00"])
def test_a_writer_that_nobody_ever_was_is_dead(tmp_path: Path, stranger: str) -> None:
    writer = Writer(tmp_path / "writers")
    assert not writer.is_alive(stranger)
    writer.close()


def test_a_process_that_was_killed_is_dead_and_its_file_is_swept(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        other = process.stdout.readline().strip()
        assert writer.is_alive(other)
        writer.sweep()
        assert (tmp_path / other).exists(), "a living writer's file is left alone"
        process.kill()
        process.wait()
    assert not writer.is_alive(other)
    assert (tmp_path / other).exists()
    writer.sweep()
    assert not (tmp_path / other).exists()
    assert (tmp_path / writer.id).exists()
    writer.close()


def test_a_sweep_never_takes_the_file_of_a_writer_that_is_just_starting(tmp_path: Path) -> None:
    sweeper = Writer(tmp_path)
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            sweeper.sweep()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for _ in range(1500):
            writer = Writer(tmp_path)
            assert sweeper.is_alive(writer.id)
            writer.close()
    finally:
        over.set()
        thread.join()
        sweeper.close()


def test_a_folder_that_cannot_be_written_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailableError, match="file"):
        Writer(tmp_path / "file")
