"""Promise: the file tools reach what is beneath their root, and say in words why not."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.errors import ToolError
from pratique.tools.context import World
from pratique.tools.files import LARGEST_READ, list_files, read_file, write_file


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    root = world.roots["files"]
    (root / "sub").mkdir()
    (root / "sub" / "note.txt").write_text("Grüße")
    (root / "link").symlink_to(tmp_path / "secret.txt")
    return root


async def test_lists_reads_and_writes(run: Any, folder: Path) -> None:
    (folder / os.fsdecode(b"\xff")).write_bytes(b"")
    assert await run(list_files) == {
        "path": ".",
        "total": 3,
        "entries": [
            {"path": "link", "kind": "link", "bytes": 0},
            {"path": "sub", "kind": "folder", "bytes": 0},
            {"path": "\\xff", "kind": "file", "bytes": 0},
        ],
    }
    assert len((await run(list_files, limit=1))["entries"]) == 1
    note = {"path": "sub/note.txt", "bytes": 7, "encoding": "text", "content": "Grüße"}
    assert await run(read_file, path="sub/note.txt") == note
    assert await run(write_file, path="a/b.txt", content="ö") == {"path": "a/b.txt", "bytes": 2}
    assert (folder / "a" / "b.txt").read_text() == "ö"


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "/etc/passwd", "link", "sub/../../secret.txt", "sub\0", "a" * 4000, "sub/note.txt/x"],
)
async def test_nothing_outside_is_read_or_written(run: Any, folder: Path, path: str) -> None:
    with pytest.raises(ToolError):
        await run(read_file, path=path)
    with pytest.raises(ToolError):
        await run(list_files, path=path)
    if path != "link":  # a write replaces the link itself
        with pytest.raises(ToolError):
            await run(write_file, path=path, content="mine")
    assert (folder.parent / "secret.txt").read_text() == "secret"


async def test_a_write_replaces_a_link_and_not_what_it_leads_to(run: Any, folder: Path) -> None:
    await run(write_file, path="link", content="mine")
    assert (folder / "link").read_text() == "mine"
    assert (folder.parent / "secret.txt").read_text() == "secret"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none", "the file 'none' does not exist"),
        ("sub", "the file 'sub' is a folder"),
        ("link", "the file 'link' cannot be had: a symbolic link is on the path"),
        ("binary", "the file 'binary' is not UTF-8 text: read it with encoding 'base64'"),
        ("big", "the file 'big' cannot be had: larger than 1048576 bytes"),
    ],
)
async def test_says_why_not(run: Any, folder: Path, path: str, words: str) -> None:
    (folder / "binary").write_bytes(b"\xff")
    (folder / "big").write_bytes(b"x" * (LARGEST_READ + 1))
    with pytest.raises(ToolError) as caught:
        await run(read_file, path=path)
    assert str(caught.value) == words


async def test_keeps_what_exists_when_asked_to(run: Any, folder: Path) -> None:
    with pytest.raises(ToolError, match="exists already"):
        await run(write_file, path="sub/note.txt", content="x", replace=False)
    assert (folder / "sub" / "note.txt").read_text() == "Grüße"


async def test_refuses_what_is_not_base64_or_too_large(run: Any, folder: Path) -> None:
    for content in ("a", "ä===", "YQ==\n"):
        with pytest.raises(ToolError, match="not base64"):
            await run(write_file, path="x", content=content, encoding="base64")
    with pytest.raises(ValueError, match=": "):
        await run(write_file, path="x", content="x" * (4 * 1024 * 1024 + 1))
    assert not (folder / "x").exists()


async def test_the_largest_file_fits_its_own_limit_in_its_worst_form(run: Any, folder: Path) -> None:
    (folder / "zeros").write_bytes(b"\x00" * LARGEST_READ)
    assert (await run(read_file, path="zeros"))["bytes"] == LARGEST_READ
    assert (await run(read_file, path="zeros", encoding="base64"))["bytes"] == LARGEST_READ


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
async def test_what_was_written_is_what_is_read(run: Any, data: bytes) -> None:
    content = base64.b64encode(data).decode()
    await run(write_file, path="x", content=content, encoding="base64")
    assert (await run(read_file, path="x", encoding="base64"))["content"] == content
