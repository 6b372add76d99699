"""The tools that this house brings along: its customers, and its money.

Each is a function with type hints. What it may reach, what of its result comes from outside and which of its
arguments decide where things go stands in the decorator, and nowhere in the function.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

import pratique

LARGEST_FILE = 1024 * 1024

Order = Annotated[str, Field(pattern=r"^[0-9]{4,8}$")]
Amount = Annotated[float, Field(gt=0, le=10_000)]
Account = Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9 ]{10,36}$")]


@pratique.tool(
    "crm.lookup",
    tier="read",
    confidentiality="confidential",
    sources={"*": "authority", "name": "identity", "email": "identity"},
    ids={"": "customer:{id}"},
    sinks={"customer": "selector"},
    paths={"crm": "read"},
)
def lookup(ctx: pratique.ToolContext, customer: Annotated[str, Field(max_length=254)]) -> dict[str, Any]:
    """Look up one customer, by id or mail address, with their orders and the account for refunds."""
    wanted = customer.casefold()
    for found in _table(ctx, "customers"):
        if wanted in {found["id"].casefold(), found["email"].casefold()}:
            orders = [order for order in _table(ctx, "orders") if order["customer"] == found["id"]]
            return {**found, "orders": orders}
    raise pratique.ToolError(f"no customer is known as {customer!r}")


@pratique.tool(
    "crm.customers",
    tier="read",
    confidentiality="restricted",
    sources={"*": "authority", "customers[].name": "identity", "customers[].email": "identity"},
    paths={"crm": "read"},
)
def customers(ctx: pratique.ToolContext) -> dict[str, Any]:
    """List all customers, with mail addresses and accounts."""
    return {"customers": _table(ctx, "customers")}


@pratique.tool(
    "billing.refund",
    tier="irreversible",
    confidentiality="confidential",
    sources={"*": "meta"},
    sinks={"order": "selector", "account": "dest", "amount": "amount"},
    paths={"crm": "read", "payments": "write"},
    takes_idempotency_key=True,
)
def refund(
    ctx: pratique.ToolContext,
    order: Order,
    amount: Amount,
    currency: Literal["EUR", "GBP", "USD"],
    account: Account,
    reason: Literal["damaged", "late", "recall", "goodwill"],
) -> dict[str, Any]:
    """Pay money back for an order, to an account. It cannot be taken back."""
    paid = next((item["total"] for item in _table(ctx, "orders") if item["id"] == order), None)
    if paid is None:
        raise pratique.ToolError(f"there is no order {order!r}")
    payment = {"order": order, "amount": f"{amount:.2f}", "currency": currency, "account": account}
    name = _name_of(ctx, payment)
    earlier = _payments(ctx, order, but=name)
    if _cents(amount) + earlier > _cents(paid):
        raise pratique.ToolError(
            f"order {order} was {paid:.2f}, {earlier / 100:.2f} of it was paid back already"
        )
    _write_once(ctx, name, {**payment, "reason": reason, "by": ctx.user, "at": datetime.now(UTC).isoformat()})
    return {"payment": name, "amount": payment["amount"], "currency": currency}


def _table(ctx: pratique.ToolContext, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(ctx.files("crm").read(f"{name}.json", LARGEST_FILE))
    return rows


def _name_of(ctx: pratique.ToolContext, payment: dict[str, str]) -> str:
    """Name a payment after its call: a repeated call is the same payment, not a second one."""
    said = json.dumps([ctx.session, ctx.call_id, payment], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _payments(ctx: pratique.ToolContext, order: str, *, but: str) -> int:
    """Return the cents that were paid back for an order before, leaving out the payment called `but`."""
    files = ctx.files("payments")
    entries = [
        entry for entry in files.list() if entry.path.endswith(".json") and entry.path != f"{but}.json"
    ]
    payments = [json.loads(files.read(entry.path, LARGEST_FILE)) for entry in entries]
    return sum(_cents(float(payment["amount"])) for payment in payments if payment["order"] == order)


def _cents(amount: float) -> int:
    return round(amount * 100)


def _write_once(ctx: pratique.ToolContext, name: str, payment: dict[str, str]) -> None:
    try:
        ctx.files("payments").write(f"{name}.json", json.dumps(payment, indent=2).encode(), replace=False)
    except FileExistsError:
        return  # this very call has paid before
