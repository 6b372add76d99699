"""The Model Context Protocol: an agent's tools for any MCP client, each call through a session.

Rules:
- Who asks, and for whom, is what the session was opened with. Nothing in a request names it.
- A pending call is shown to a person by a link. What the client says of that link is no answer.
"""
