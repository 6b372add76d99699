"""The file tools: list, read and write beneath the file root `files`.

Rules:
- Paths are relative to the root and cannot leave it (`pratique.sandbox.beneath`): no link is followed, no
  device opened.
- Content is text (UTF-8) or base64, said by the caller and never guessed.
- Names and contents are untrusted; kinds and sizes are the system's.
"""

import base64
import binascii
import contextlib
from typing import Annotated, Any, Literal

from pydantic import Field

from pratique.errors import ToolError
from pratique.tools.context import ToolContext
from pratique.tools.declaration import tool
from pratique.tools.files_refusal import in_words
from pratique.tools.saying import diff, quoted

LARGEST_READ = 1024 * 1024
LARGEST_WRITE = 4 * 1024 * 1024

Path = Annotated[str, Field(min_length=1, max_length=4096)]
Encoding = Literal["text", "base64"]


@tool(
    "files.list",
    tier="read",
    sources={"path": "untrusted", "entries[].kind": "meta", "entries[].bytes": "meta", "total": "meta"},
    sinks={"path": "selector"},
    paths={"files": "read"},
)
def list_files(
    ctx: ToolContext, path: Path = ".", limit: Annotated[int, Field(ge=1, le=1000)] = 200
) -> dict[str, Any]:
    """List one folder, by name."""
    with in_words(f"the folder {path!r}"):
        entries = ctx.files("files").list(path)
    shown = [
        {
            "path": _printable(entry.path),
            "kind": entry.kind,
            "bytes": entry.size if entry.kind == "file" else 0,
        }
        for entry in entries[:limit]
    ]
    return {"path": path, "total": len(entries), "entries": shown}


@tool(
    "files.read",
    tier="read",
    sources={"path": "untrusted", "content": "untrusted", "bytes": "meta", "encoding": "meta"},
    sinks={"path": "selector"},
    paths={"files": "read"},
    # A control character takes six bytes of JSON.
    result_limit=6 * LARGEST_READ + 64 * 1024,
)
def read_file(ctx: ToolContext, path: Path, encoding: Encoding = "text") -> dict[str, Any]:
    """Read a file of at most 1 MiB, as UTF-8 text or as base64."""
    with in_words(f"the file {path!r}"):
        data = ctx.files("files").read(path, LARGEST_READ)
    return {"path": path, "bytes": len(data), "encoding": encoding, "content": _shown(path, data, encoding)}


def preview_write(
    ctx: ToolContext, path: Path, content: str, encoding: Encoding = "text", replace: bool = True
) -> str:
    """Say what becomes of a file: a diff, if it is text."""
    data = _meant(content, encoding)
    with in_words(f"the file {path!r}"):
        try:
            before = ctx.files("files").read(path, LARGEST_WRITE)
        except FileNotFoundError:
            return f"A new file of {len(data)} bytes: {quoted(path)}"
    if not replace:
        return f"Nothing is written: the file {quoted(path)} exists, and is kept."
    if encoding == "text" and b"\x00" not in before:
        with contextlib.suppress(UnicodeDecodeError):
            return diff(quoted(path), before.decode(), content)
    return f"The file {quoted(path)} of {len(before)} bytes is replaced by {len(data)} bytes."


@tool(
    "files.write",
    tier="write",
    sources={"*": "meta", "path": "untrusted"},
    sinks={"path": "dest", "content": "content"},
    paths={"files": "write"},
    takes_idempotency_key=True,
    preview=preview_write,
)
def write_file(
    ctx: ToolContext,
    path: Path,
    content: Annotated[str, Field(max_length=LARGEST_WRITE)],
    encoding: Encoding = "text",
    replace: bool = True,
) -> dict[str, Any]:
    """Write a whole file at once. Its folders are made. With `replace` false, a file that exists is kept."""
    data = _meant(content, encoding)
    with in_words(f"the file {path!r}"):
        ctx.files("files").write(path, data, replace=replace)
    return {"path": path, "bytes": len(data)}


def _shown(path: str, data: bytes, encoding: Encoding) -> str:
    if encoding == "base64":
        return base64.b64encode(data).decode()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ToolError(f"the file {path!r} is not UTF-8 text: read it with encoding 'base64'") from None


def _meant(content: str, encoding: Encoding) -> bytes:
    try:
        return content.encode() if encoding == "text" else base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ToolError("the content is not base64") from None


def _printable(path: str) -> str:
    """Return a name as JSON can hold it; bytes that are no UTF-8 are escaped, and cannot be opened."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
