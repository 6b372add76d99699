"""Who says yes: the card that a person reads, and the queue that it waits in."""
