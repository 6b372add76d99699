"""Moments as people give them on the command line: days or times, UTC unless they say otherwise."""

from datetime import UTC, datetime

from pratique.capabilities.manifest import microseconds

MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M"]


def microseconds_of(moment: datetime | None) -> int:
    """Return a moment in microseconds since the epoch; 0 for none."""
    return microseconds(moment.replace(tzinfo=moment.tzinfo or UTC)) if moment else 0
