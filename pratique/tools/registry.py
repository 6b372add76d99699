"""The table of all tools: our own, which the host declares, and other programs', which come and go.

Rules:
- A tool that is not in the registry cannot be called, by anybody.
- Our own do not change while a runtime runs; other programs' are looked up at each call.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from sqlalchemy import Connection

from pratique.errors import ToolDeclarationError
from pratique.model import Level
from pratique.tools.declaration import Tool

__all__ = ["Elsewhere", "Registry", "Tool"]


class Elsewhere(Protocol):
    """Other programs' tools: they come and go while a runtime runs (`pratique.proxy.servers`)."""

    @property
    def names(self) -> frozenset[str]:
        """The servers that the settings name."""
        ...

    async def check(self, name: str) -> object:
        """Ask a server what it lists now, and record what changed."""
        ...

    def begin(self) -> None:
        """Record what is configured, where that is news, and take what can be called."""
        ...

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools that can be called now, by name."""
        ...

    def get(self, name: str) -> Tool | None:
        """Return the tool of that name, if it can be called."""
        ...

    def known(self, name: str) -> Tool | None:
        """Return the tool of that name as it could be called last, even if it no longer can."""
        ...

    def why_not(self, name: str) -> str:
        """Say why a tool of that name cannot be called; empty if it is none of theirs."""
        ...

    def pins_of(self, name: str) -> tuple[str, int] | None:
        """Return the server that a name speaks of, and the last record about it that is known here."""
        ...

    def is_stale(self, connection: Connection) -> bool:
        """Return whether the ledger knows more than this process."""
        ...

    def refresh(self) -> None:
        """Take what the ledger says can be called now."""
        ...

    async def aclose(self) -> None:
        """End every server that was started."""
        ...


class Registry:
    """Every tool that there is, by name. Our own do not change after it is made.

    Args:
        tools: our own.
        elsewhere: other programs', if there are any.

    Raises:
        ToolDeclarationError: two tools have one name, or one of ours has another program's prefix.
    """

    def __init__(self, tools: Iterable[Tool] = (), elsewhere: Elsewhere | None = None) -> None:
        by_name: dict[str, Tool] = {}
        for item in tools:
            if item.capability.name in by_name and by_name[item.capability.name] is not item:
                raise ToolDeclarationError(f"two tools are called {item.capability.name!r}")
            if elsewhere is not None and elsewhere.pins_of(item.capability.name) is not None:
                server = item.capability.name.partition(".")[0]
                raise ToolDeclarationError(
                    f"{item.capability.name} is called like a tool of the server {server!r}: rename one"
                )
            by_name[item.capability.name] = item
        self._tools = MappingProxyType(by_name)
        self.elsewhere = elsewhere

    @classmethod
    def from_modules(cls, names: Iterable[str], folder: Path | None = None) -> "Registry":
        """Return the tools that the named modules hold at top level, by themselves or in tuples.

        Args:
            names: importable names.
            folder: where a module may lie that is not installed: the folder of the settings.

        Raises:
            ToolDeclarationError: a module cannot be imported or holds no tool.
        """
        names = tuple(names)
        if names and folder is not None and str(folder) not in sys.path:
            sys.path.append(str(folder))  # last: it must not shadow what is installed
        return cls(found for name in names for found in _tools_of(name))

    def get(self, name: str) -> Tool | None:
        """Return the tool of that name, or None."""
        found = self._tools.get(name)
        return found if found is not None or self.elsewhere is None else self.elsewhere.get(name)

    def demand(self, name: str) -> Tool:
        """Return the tool of that name, which was there before, even if it can no longer be called.

        Raises:
            KeyError: it was not there.
        """
        found = self.get(name) or (self.elsewhere.known(name) if self.elsewhere is not None else None)
        if found is None:
            raise KeyError(name)
        return found

    def why_not(self, name: str) -> str:
        """Say why there is no tool of that name to be called."""
        quarantine = self.elsewhere.why_not(name) if self.elsewhere is not None else ""
        return f"{name}: {quarantine}" if quarantine else f"there is no tool {name[:100]!r}"

    def pins_of(self, name: str) -> tuple[str, int] | None:
        """Return the server that a name speaks of, with what is known of it; None if it is none of theirs."""
        return None if self.elsewhere is None else self.elsewhere.pins_of(name)

    def is_stale(self, connection: Connection) -> bool:
        """Return whether the ledger knows more about other programs' tools than this process."""
        return self.elsewhere is not None and self.elsewhere.is_stale(connection)

    def begin(self) -> None:
        """Record which other programs' servers are configured, and take what people approved of them."""
        if self.elsewhere is not None:
            self.elsewhere.begin()

    def refresh(self) -> None:
        """Take what the ledger says of other programs' tools."""
        if self.elsewhere is not None:
            self.elsewhere.refresh()

    async def aclose(self) -> None:
        """End other programs' servers that were started."""
        if self.elsewhere is not None:
            await self.elsewhere.aclose()

    def problems(self) -> list[str]:
        """Return, in words, every declared call of a tool that code could not make."""
        return [
            f"{tool.capability.name}: its code may call {name!r}, {why}"
            for tool in self
            for name in tool.capability.calls
            if (why := self._why_no_call(name))
        ]

    def _why_no_call(self, name: str) -> str:
        called = self.get(name)
        if called is None:
            return "and there is no such tool"
        if called.capability.runs_in is Level.INLINE:
            return ""
        # Else calls that hold a sandbox could wait for each other's.
        return f"which runs in a {called.capability.runs_in}: code can call inline tools only"

    def __iter__(self) -> Iterator[Tool]:
        yield from self._tools.values()
        if self.elsewhere is not None:
            yield from self.elsewhere.tools.values()

    def __len__(self) -> int:
        return len(self._tools) + (len(self.elsewhere.tools) if self.elsewhere is not None else 0)


def _tools_of(name: str) -> list[Tool]:
    try:
        module = importlib.import_module(name)
    except ImportError as problem:
        raise ToolDeclarationError(f"the tool module {name!r} cannot be imported: {problem}") from problem
    found = [item for value in vars(module).values() for item in _held(value) if isinstance(item, Tool)]
    if not found:
        raise ToolDeclarationError(f"the module {name!r} holds no @tool")
    return found


def _held(value: object) -> tuple[object, ...]:
    """Return what a name stands for; a tuple is what a maker of tools (`imap_tools`) gives."""
    return value if isinstance(value, tuple) else (value,)
