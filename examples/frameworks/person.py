"""The person of these examples, who reads the card and says yes."""

import pratique
from pratique.app import local_login


async def says_yes(runtime: pratique.Runtime, ticket: str) -> None:
    """Approve what waits under this ticket, typing what it goes to, as the card wants it."""
    card = runtime.queue.asked(ticket).card
    print(f"{card.tool} waits for a person. {card.taint}")
    for argument in card.arguments:
        origin = f"  ({argument.origins[0].words})" if argument.origins else ""
        print(f"  {argument.name}: {argument.text}{origin}")
    await runtime.answer(ticket, local_login(), approve=True, confirm=card.confirm)
