"""Listings as servers give them, for the tests."""

from typing import Any

from pratique.proxy.definition import Listing
from pratique.proxy.listing import read_listing

CONFIG = "c" * 64


def entry(name: str = "read", **more: Any) -> dict[str, Any]:
    """Return one listed tool."""
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    return {"name": name, "description": f"The tool {name}.", "inputSchema": schema, **more}


def listing(*entries: dict[str, Any], config: str = CONFIG, server: str = "files") -> Listing:
    """Return a listing."""
    return read_listing(config, server, entries)
