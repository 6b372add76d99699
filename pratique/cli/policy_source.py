"""Which policy a verb speaks of, the tools that it is held against, and the moment that it is asked for.

Rules:
- A policy is named by its file, or `in-force` for the one that the ledger says decides now.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pratique.app import open_ledger
from pratique.capabilities.manifest import microseconds
from pratique.capabilities.policy import Policy
from pratique.capabilities.snapshot import Snapshot
from pratique.errors import SettingsError, told
from pratique.ledger import policies
from pratique.model import Capability
from pratique.settings import ELSEWHERE, Settings
from pratique.tools.registry import Registry

IN_FORCE = "in-force"
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        "-p",
        metavar="FILE|in-force",
        help="Which policy.",
        show_default="the file that the settings name",
    ),
]
AtOption = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        formats=["%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M", "%Y-%m-%d"],
        metavar="TIME",
        help="The moment to ask for; 2026-12-01T06:00Z or 2026-12-01.",
        show_default="now",
    ),
]


def capabilities_of(tools: Registry) -> list[Capability]:
    """Return what the tools are declared to need and reach."""
    return [tool.capability for tool in tools]


def load(settings: Settings, named: str | None) -> Snapshot:
    """Return the policy that is named: a file, `in-force`, or, for None, the settings' file.

    Raises:
        SettingsError: the file cannot be read.
        PolicyError: it is no policy.
        LedgerUnavailableError: `in-force` was asked for, and the ledger cannot be read.
    """
    if named == IN_FORCE:
        return _in_force(settings)
    path = Path(named) if named is not None else settings.path(settings.policy)
    return Snapshot(Policy(read_text(path), str(named or path.name)), 0)


def _in_force(settings: Settings) -> Snapshot:
    folder = settings.path(settings.folder)
    if not (folder / "ledger.db").exists():
        return Snapshot(Policy(policies.NOTHING, "the empty policy"), 0)
    with open_ledger(settings) as ledger:
        return policies.in_force(ledger)


def read_text(path: Path) -> str:
    """Return the text of a policy file.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        hint = f"; {ELSEWHERE}" if isinstance(problem, FileNotFoundError) else ""
        raise SettingsError(f"policy: {path}: {told(problem)}{hint}") from None


def moment_of(at: datetime | None) -> int:
    """Return a moment in microseconds since the epoch, UTC unless it says otherwise; now, for none."""
    if at is None:
        return time.time_ns() // 1000
    return microseconds(at if at.tzinfo else at.replace(tzinfo=UTC))
