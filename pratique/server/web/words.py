"""The words that pages use for what the model calls by one word."""

FROM_WORDS = {
    "request": "the request",
    "authority": "vouched for",
    "record": "a record",
    "internal": "a name of ours",
    "identity": "a participant",
    "untrusted": "outside",
    "model": "the model",
    "approver": "an approver",
    "literal": "too short",
    "": "",
}
"""Where a value came from (`OriginKind`), as a chip."""

DECIDES = {
    "dest": "decides where it goes",
    "selector": "decides what it is about",
    "secret": "a secret",
    "amount": "decides how much",
    "sched": "decides when",
    "content": "what it says",
}
"""What an argument decides (`ArgumentClass`)."""
