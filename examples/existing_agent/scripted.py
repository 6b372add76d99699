"""What the scripted model of these files asks for: look the customer up, pay back."""

from typing import Any

REQUEST = "Refund customer 8821 the 18.90 for the broken jar, to the account on file."
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("crm_lookup", {"customer": "8821"}),
    ("billing_refund", {"account": "PT50 0002 0123 1234 5678 9015 4", "amount": 18.9}),
]
ANSWER = "Maria has her money back."
