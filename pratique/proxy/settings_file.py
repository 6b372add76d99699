"""`[servers.NAME]` in a settings file: added and removed, with everything else left as it was written.

Rules:
- The file is replaced in one step, with the permissions that it had. What would not load is not written.
- Only the table of one server is touched: comments, order and spelling of the rest stay.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from pratique.errors import SettingsError, told
from pratique.settings import Settings

SERVERS = "servers"


def add_server(path: Path, name: str, stated: Mapping[str, Any]) -> None:
    """Write a server into a settings file, which is made if it is not there.

    Args:
        path: the file.
        name: what the server is called.
        stated: its settings.

    Raises:
        SettingsError: it is there already, or the file cannot be read, written, or loaded afterwards.
    """
    document = _read(path)
    servers = document.setdefault(SERVERS, tomlkit.table(is_super_table=True))
    if not isinstance(servers, Table):
        raise SettingsError(f"{path}: {SERVERS} is not written as tables; add [{SERVERS}.{name}] by hand")
    if name in servers:
        raise SettingsError(f"{path}: there is a server {name} already; `pratique mcp remove {name}` first")
    table = tomlkit.table()
    for key, value in stated.items():
        table.add(key, value)
    servers.add(name, table)
    _write(path, document)


def remove_server(path: Path, name: str) -> bool:
    """Take a server out of a settings file; return whether it was there.

    Raises:
        SettingsError: the file cannot be read, written, or loaded afterwards.
    """
    if not path.exists():
        return False
    document = _read(path)
    servers = document.get(SERVERS)
    if not isinstance(servers, Mapping) or name not in servers:
        return False
    servers.pop(name)  # type: ignore[attr-defined]  # tomlkit's mappings can be changed
    if not servers:
        document.pop(SERVERS)
    _write(path, document)
    return True


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as problem:
        raise SettingsError(f"{path}: {told(problem)}") from None


def _write(path: Path, document: tomlkit.TOMLDocument) -> None:
    target = path.resolve()  # a link stays one
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".toml")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(tomlkit.dumps(document).rstrip("\n") + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.chmod(draft, mode)  # noqa: PTH101  # as the file had it
            Settings.load(draft)
            os.replace(draft, target)  # noqa: PTH105  # in one step
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as problem:
        raise SettingsError(f"{path} cannot be written: {told(problem)}") from None
