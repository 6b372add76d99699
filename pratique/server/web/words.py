"""The words that pages use for what the model calls by one word."""

import re

_WORD = re.compile(r"[a-z]+(?:[ ,.:;]|$)")


def sentence(text: str) -> str:
    """Return the text as a sentence begins; a name or a ticket (`t_…`) that it begins with stays as it is."""
    return text[:1].upper() + text[1:] if _WORD.match(text) else text


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
