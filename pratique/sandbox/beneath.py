"""Opens files beneath one folder, whatever somebody else does to that folder meanwhile.

Rules:
- The kernel resolves the whole path at once (`openat2`, man page openat2(2)): no `..` out of the folder, no
  absolute path, no symbolic link at any step, no other mount. A check before an open is a race; this is none.
- Only regular files are read: a FIFO would hang the reader, a device may act when it is opened.
- A file with a second hard link is refused: its other name may lie outside the folder.
- A write goes to a new name and is renamed into place: it never follows, and never half replaces, anything.
- What is refused raises `PermissionError`; what is too large `OSError` with `EFBIG`.
"""

import contextlib
import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pratique.model import Value

_SYS_OPENAT2 = 437  # the same number on every architecture that has the call
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RENAME_NOREPLACE = 0x01
_RESOLVE = _RESOLVE_NO_XDEV | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH

# RESOLVE_BENEATH answers EAGAIN while somebody renames folders on the path; who never stops is an attacker.
_RETRIES = 64

_WHY = {
    errno.EXDEV: "the path leaves the folder",
    errno.ELOOP: "a symbolic link is on the path",
    errno.EAGAIN: "the path does not hold still",
}


class _OpenHow(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Entry(Value):
    """One name in a folder: `kind` is file, folder, link or other; `size` counts for files only."""

    path: str
    kind: str
    size: int
    links: int


class Root:
    """A folder, held open, beneath which files are opened.

    Args:
        folder: its path, or a descriptor of it, which then belongs to this object.

    Raises:
        OSError: the folder cannot be opened, or the kernel has no `openat2` (Linux before 5.6).
    """

    def __init__(self, folder: str | os.PathLike[str] | int) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        self._fd = folder if isinstance(folder, int) else os.open(folder, flags)
        try:
            os.close(_openat2(self._fd, ".", flags))
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder. A second close does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def open(self, path: str) -> int:
        """Open a regular file for reading and return its descriptor, which the caller closes.

        Raises:
            PermissionError: the path leads out, over a link, to no regular file, or to a shared hard link.
            FileNotFoundError: nothing has this name.
        """
        handle = _openat2(self._fd, path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _demand_plain(handle, path)
            # The magic link names the very inode that was looked at, so what is opened is what was checked.
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        finally:
            os.close(handle)

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole regular file of at most `limit` bytes.

        Raises:
            OSError: as `open`; `EFBIG` when the file is, or while being read becomes, larger.
        """
        with os.fdopen(self.open(path), "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
        return data

    def head(self, path: str, length: int) -> bytes:
        """Read the first `length` bytes of a regular file, or all of a shorter one.

        Raises:
            OSError: as `open`.
        """
        with os.fdopen(self.open(path), "rb") as file:
            return file.read(length)

    def write(self, path: str, data: bytes, *, mode: int = 0o644, replace: bool = True) -> None:
        """Write a whole file at once; its folders are made. Readers see the old file or the new one.

        Raises:
            PermissionError: the path leads out or over a link.
            FileExistsError: the name is taken and `replace` is false.
            IsADirectoryError: the name is a folder's.
        """
        folder, name = _split(path)
        parent = self._make_folders(folder)
        draft = f".{name[:64]}.{secrets.token_hex(8)}"
        try:
            _write_new(parent, draft, data, mode)
            try:
                _put(parent, draft, name, replace=replace)
            except BaseException:
                os.unlink(draft, dir_fd=parent)
                raise
        finally:
            os.close(parent)

    def remove(self, path: str) -> None:
        """Remove a file's name; a link is removed, not followed."""
        folder, name = _split(path)
        parent = self._open_folder(folder)
        try:
            os.unlink(name, dir_fd=parent)
        finally:
            os.close(parent)

    def list(self, path: str = ".") -> list[Entry]:
        """List one folder, sorted by name. Nothing in it is opened or followed."""
        folder = self._open_folder(path)
        try:
            return sorted(_entries(folder, "" if path == "." else f"{path.rstrip('/')}/"), key=_path_of)
        finally:
            os.close(folder)

    def walk(self, path: str = ".", *, limit: int) -> Iterator[Entry]:
        """Yield everything beneath a folder, parents first, at most `limit` entries.

        Raises:
            OSError: with `EFBIG`, when there are more.
        """
        waiting = [path]
        seen = 0
        while waiting:
            for entry in self.list(waiting.pop()):
                seen += 1
                if seen > limit:
                    raise OSError(errno.EFBIG, f"more than {limit} entries", path)
                yield entry
                if entry.kind == "folder":
                    waiting.append(entry.path)

    def _open_folder(self, path: str) -> int:
        return _openat2(self._fd, path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _make_folders(self, path: str) -> int:
        """Open a folder, making what is missing one step at a time, each step beneath the one before."""
        here = self._open_folder(".")
        for name in path.split("/"):
            if name in {"", "."}:
                continue
            try:
                if name == "..":
                    raise PermissionError(errno.EXDEV, _WHY[errno.EXDEV], path)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=here)
                below = _openat2(here, name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            finally:
                os.close(here)
            here = below
        return here


def _openat2(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """Call openat2(2) with every resolve restriction; `PermissionError` where it refuses the path."""
    if "\0" in path:
        # ctypes would cut the path here, and something else would be opened.
        raise PermissionError(errno.EINVAL, "a NUL is in the path", path.replace("\0", "\\0"))
    how = _OpenHow(flags, mode, _RESOLVE)
    for _ in range(_RETRIES):
        fd = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        if code not in {errno.EAGAIN, errno.EINTR}:
            break
    if code in _WHY:
        raise PermissionError(code, _WHY[code], path)
    raise OSError(code, os.strerror(code), path)


def _demand_plain(handle: int, path: str) -> None:
    """Refuse what is no regular file of its own."""
    found = os.fstat(handle)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if stat.S_ISLNK(found.st_mode):
        raise PermissionError(errno.ELOOP, _WHY[errno.ELOOP], path)
    if not stat.S_ISREG(found.st_mode):
        raise PermissionError(errno.EACCES, "not a regular file", path)
    if found.st_nlink > 1:
        raise PermissionError(errno.EMLINK, "the file has a second name (hard link)", path)


def _split(path: str) -> tuple[str, str]:
    """Part a path into folder and last name; the name must be one."""
    if "\0" in path:
        raise PermissionError(errno.EINVAL, "a NUL is in the path", path.replace("\0", "\\0"))
    folder, _, name = path.rpartition("/")
    if path.startswith("/") or name in {"", ".", ".."}:
        raise PermissionError(errno.EXDEV, "not the name of a file in the folder", path)
    return folder or ".", name


def _write_new(parent: int, name: str, data: bytes, mode: int) -> None:
    """Create a file that was not there and fill it; a half-written one is taken away again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, mode, dir_fd=parent), "wb") as file:
        try:
            file.write(data)
            file.flush()
        except BaseException:
            os.unlink(name, dir_fd=parent)
            raise


def _put(parent: int, draft: str, name: str, *, replace: bool) -> None:
    """Give the draft its name. Neither call follows a link that has taken the name meanwhile."""
    if replace:
        os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
        return
    # Not link and unlink: between the two the file has a second name, for which a reader refuses it.
    names = (ctypes.c_char_p(os.fsencode(draft)), ctypes.c_char_p(os.fsencode(name)))
    if _libc.renameat2(parent, names[0], parent, names[1], ctypes.c_uint(_RENAME_NOREPLACE)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)


def _entries(folder: int, prefix: str) -> Iterator[Entry]:
    """Read one folder without following anything in it."""
    with os.scandir(folder) as names:
        for item in names:
            try:
                found = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone meanwhile: it is not in the folder
            kind, size = _kind(found.st_mode), found.st_size
            yield Entry(path=prefix + item.name, kind=kind, size=size, links=found.st_nlink)


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _path_of(entry: Entry) -> str:
    return entry.path
