"""Reasons for a no that people need again and again. The agent and the requester are told them."""

PRESETS = (
    "This is not what was asked for.",
    "This goes to the wrong place.",
    "An argument comes from a message, not from us.",
    "The amount or the content is wrong.",
    "Ask the person you act for first.",
    "Not now.",
)
