"""Where tools run: the ladder of isolation levels, weakest first: inline, restricted, jail, container."""
