"""Agent frameworks with Pratique as their executor: one file for each framework.

Rules:
- An adapter uses Pratique's public API only, so it works with a session in process and with one over HTTP.
- A tool's body never runs in the framework. What the framework's saved state says gives no right to anything:
  the ledger knows what was asked, answered and run.
- The trusted request and the user are stated where the session is opened, never taken from a conversation.
"""
