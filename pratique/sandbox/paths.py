"""Which paths a guest's work folder may have, decided on the text alone.

Rules:
- Relative, without `..`, NUL or empty parts, at most 255 bytes a part; the rest is refused, not repaired.
- This is for early, clear errors. What enforces it is the kernel (`beneath`).
"""

_NAME_MAX = 255


def guest_path(path: str) -> str:
    """Return the path if it names a file beneath the work folder.

    Raises:
        ValueError: it does not.
    """
    parts = path.split("/")
    if "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{path!r} is not a path beneath the work folder")
    if any(len(part.encode(errors="surrogateescape")) > _NAME_MAX for part in parts):
        raise ValueError(f"a part of {path[:40]!r}... is longer than {_NAME_MAX} bytes")
    return path
