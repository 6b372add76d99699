"""The tools that the agent had already: their bodies, and what each needs and reaches."""

from typing import Any

import pratique

CUSTOMERS = {"8821": {"customer": "8821", "name": "Maria", "account": "PT50 0002 0123 1234 5678 9015 4"}}


@pratique.tool("crm.lookup", tier="read", sources={"*": "authority"})
async def lookup(ctx: pratique.ToolContext, customer: str) -> dict[str, Any]:
    """Look a customer up by number."""
    del ctx
    return CUSTOMERS[customer]


@pratique.tool("billing.refund", tier="irreversible", sources={"*": "meta"}, sinks={"account": "dest"})
async def refund(ctx: pratique.ToolContext, account: str, amount: float) -> dict[str, Any]:
    """Pay money back to an account."""
    del ctx
    return {"account": account, "paid": amount}
