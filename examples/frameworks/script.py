"""What the scripted model says: read the mail, look the customer up, pay back. One tool call at a time."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REQUEST = "Refund what Maria Oliveira is owed for her broken jar, to the account in the CRM."
SUPPORT = Path(__file__).parent.parent / "support"
AGENT, USER = "support", "kim@acme.example"

STEPS: list[tuple[str, dict[str, Any]]] = [
    ("mail_read", {"id": "inbox/1795080840.M201P77.mail"}),
    ("crm_lookup", {"customer": "maria.oliveira@cafe-lisboa.example"}),
    (
        "billing_refund",
        {
            "order": "8804",
            "amount": 18.9,
            "currency": "EUR",
            "account": "PT50 0002 0123 1234 5678 9015 4",
            "reason": "damaged",
        },
    ),
]
ANSWER = "Maria has her money back."


def as_json(step: int) -> str:
    """Return the arguments of a step as a model writes them."""
    return json.dumps(STEPS[step][1])


@contextmanager
def support_desk() -> Iterator[Path]:
    """Give a copy of the support example to work in: its `pratique.toml`."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(SUPPORT, Path(folder) / "support")) / "pratique.toml"
