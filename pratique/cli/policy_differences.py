"""What changes from one policy to another: what `pratique policy diff` and `apply` show and weigh."""

from typing import NamedTuple

from pratique.app import local_login
from pratique.capabilities.diff import Cell, Direction, Refloored, diff, direction_of, refloored, relabelled
from pratique.capabilities.electing import Elected, elected
from pratique.capabilities.policy import Policy
from pratique.cli.policy_shown import say_if_no_tools, show_changes, show_elected
from pratique.cli.policy_source import capabilities_of
from pratique.tools.registry import Registry


class Differences(NamedTuple):
    """What two policies answer differently.

    Attributes:
        cells: agents, tools and taint levels whose answer changes.
        keys: keys that decide how a call comes to its taint level, and changed.
        levels: floors of isolation that changed.
        groups: groups that somebody comes into, or leaves.
    """

    cells: list[Cell]
    keys: list[str]
    levels: list[Refloored]
    groups: list[Elected]

    @property
    def is_none(self) -> bool:
        """Whether the two answer alike."""
        return not any(self)

    @property
    def direction(self) -> Direction:
        """Which way it goes, all in all. Who may say yes is no tightening: a group that grows counts."""
        come = [one.group for one in self.groups if one.comes]
        return direction_of([*self.cells, *self.levels], [*self.keys, *come])


def differences(before: Policy, after: Policy, tools: Registry) -> Differences:
    """Return what changes from one policy to another, for the declared tools."""
    capabilities = capabilities_of(tools)
    return Differences(
        diff(before, after, capabilities),
        relabelled(before, after),
        refloored(before, after, capabilities),
        elected(before, after),
    )


def show_differences(found: Differences, tools: Registry) -> None:
    """Print what changes."""
    show_changes(*found)
    show_elected(found.groups, local_login())
    say_if_no_tools(tools)
