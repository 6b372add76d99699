"""Fixtures of the server, for sessions over HTTP."""

from tests.server.conftest import front

__all__ = ["front"]
