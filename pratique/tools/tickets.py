"""The ticket tools on a store beneath the file root `tickets`: list, read, comment and update."""

from pratique.tools.tickets_local import LocalTickets
from pratique.tools.tickets_tools import ticket_tools

list_tickets, read_ticket, comment_on_ticket, update_ticket = ticket_tools(
    lambda ctx: LocalTickets(ctx.files("tickets")),
    reading={"paths": {"tickets": "read"}},
    writing={"paths": {"tickets": "write"}},
)
