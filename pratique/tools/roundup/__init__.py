"""Tickets on a Roundup tracker, through its REST interface."""

from pratique.tools.roundup.tools import roundup_tools

__all__ = ["roundup_tools"]
