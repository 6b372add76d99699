"""Promise: nothing beneath a `Root` leads out of its folder, hangs the reader, or follows a link."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from pratique.sandbox.beneath import Root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "note.txt").write_text("note")
    (tmp_path / "secret.txt").write_text("secret")
    return inside


def test_reads_a_file_beneath(folder: Path) -> None:
    with Root(folder) as root:
        assert root.read("sub/note.txt", 10) == b"note"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "/etc/passwd",
        "sub/note.txt\0/../../secret.txt",
        "//etc/passwd",
    ],
)
def test_refuses_to_read_outside(folder: Path, path: str) -> None:
    with Root(folder) as root, pytest.raises(PermissionError):
        root.read(path, 1000)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "sub/../../x", "..", ".", "", "a/", "a\0b"])
def test_refuses_to_write_outside(folder: Path, path: str) -> None:
    with Root(folder) as root, pytest.raises(PermissionError):
        root.write(path, b"x")
    assert not (folder.parent / "x").exists()


def test_refuses_links_at_the_end_and_on_the_way(folder: Path) -> None:
    (folder / "last").symlink_to("../secret.txt")
    (folder / "way").symlink_to("..")
    (folder / "own").symlink_to("sub/note.txt")
    with Root(folder) as root:
        for path in ("last", "way/secret.txt", "own"):
            with pytest.raises(PermissionError, match="symbolic link"):
                root.read(path, 1000)
        with pytest.raises(PermissionError):
            root.write("way/new.txt", b"x")
    assert not (folder.parent / "new.txt").exists()


def test_refuses_magic_links() -> None:
    with Root("/proc/self") as root, pytest.raises(PermissionError):
        root.read("root/etc/passwd", 1000)
    with Root("/") as root, pytest.raises(PermissionError):
        root.read("proc/self/status", 1000)


def test_refuses_fifos_sockets_devices_and_folders_at_once(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener, Root(folder) as root:
        listener.bind(str(folder / "sock"))
        for name in ("fifo", "sock"):
            with pytest.raises(PermissionError, match="regular"):
                root.read(name, 10)
        with pytest.raises(IsADirectoryError):
            root.read("sub", 10)
    with Root("/dev") as root, pytest.raises(PermissionError, match="regular"):
        root.read("null", 10)


def test_refuses_a_second_hard_link(folder: Path) -> None:
    os.link(folder.parent / "secret.txt", folder / "hard")
    with Root(folder) as root:
        with pytest.raises(PermissionError, match="hard link"):
            root.read("hard", 10)
        root.write("hard", b"mine")
    assert (folder.parent / "secret.txt").read_text() == "secret"


def test_a_file_larger_than_the_limit_is_refused(folder: Path) -> None:
    with Root(folder) as root:
        with pytest.raises(OSError, match="larger") as caught:
            root.read("sub/note.txt", 3)
        assert caught.value.errno == errno.EFBIG
        assert root.read("sub/note.txt", 4) == b"note"


def test_a_write_makes_folders_replaces_links_and_leaves_no_draft(folder: Path) -> None:
    (folder / "last").symlink_to("../secret.txt")
    with Root(folder) as root:
        root.write("a/b/c.txt", b"deep")
        root.write("last", b"mine")
        with pytest.raises(FileExistsError):
            root.write("last", b"again", replace=False)
        with pytest.raises(IsADirectoryError):
            root.write("sub", b"x")
        root.write("fresh", b"x", replace=False)
        assert [(entry.path, entry.kind) for entry in root.list()] == [
            ("a", "folder"),
            ("fresh", "file"),
            ("last", "file"),
            ("sub", "folder"),
        ]
        assert root.read("fresh", 1) == b"x"
    assert (folder / "a/b/c.txt").read_bytes() == b"deep"
    assert (folder.parent / "secret.txt").read_text() == "secret"


def test_lists_and_walks_without_following(folder: Path) -> None:
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "sub" / "fifo")
    with Root(folder) as root:
        found = [(entry.path, entry.kind, entry.size) for entry in root.walk(limit=10)]
        assert found == [
            ("loop", "link", 1),
            ("sub", "folder", found[1][2]),
            ("sub/fifo", "other", 0),
            ("sub/note.txt", "file", 4),
        ]
        with pytest.raises(OSError, match="more than 2"):
            list(root.walk(limit=2))
        root.remove("loop")
        with pytest.raises(FileNotFoundError):
            root.read("loop", 1)


def test_a_missing_folder_and_a_closed_root_are_errors(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Root(folder / "none")
    root = Root(folder)
    root.close()
    root.close()
    with pytest.raises(OSError, match="Bad file"):
        root.read("sub/note.txt", 1)


def test_a_symlink_race_never_leaks(folder: Path) -> None:
    """Somebody swaps a folder with a link to the outside as fast as they can; no read ever follows it."""
    (folder / "swap").mkdir()
    (folder / "swap" / "secret.txt").write_text("inside")
    (folder / "link").symlink_to("..")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (folder / "swap").rename(folder / "kept")
            (folder / "link").rename(folder / "swap")
            (folder / "swap").rename(folder / "link")
            (folder / "kept").rename(folder / "swap")

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        with Root(folder) as root:
            seen = {_try_read(root) for _ in range(20_000)}
    finally:
        stop.set()
        attacker.join()
    assert b"secret" not in seen
    assert b"inside" in seen


def _try_read(root: Root) -> bytes:
    try:
        return root.read("swap/secret.txt", 100)
    except OSError:
        return b""


def test_the_head_of_a_file_is_read_without_the_rest(folder: Path) -> None:
    with Root(folder) as root:
        assert root.head("sub/note.txt", 3) == b"not"
        assert root.head("sub/note.txt", 100) == b"note"
        with pytest.raises(PermissionError):
            root.head("../secret.txt", 3)


def test_a_file_that_is_written_once_never_has_two_names(folder: Path) -> None:
    """A reader refuses a second name, so a writer that links and unlinks would fail it now and then."""
    stop = threading.Event()
    failures: list[str] = []

    def read() -> None:
        with Root(folder) as root:
            while not stop.is_set():
                failures.extend(
                    entry.path for entry in root.list() if entry.kind == "file" and entry.links > 1
                )

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with Root(folder) as root:
            for number in range(1000):
                root.write(f"{number}", b"x", replace=False)
    finally:
        stop.set()
        reader.join()
    assert failures == []
