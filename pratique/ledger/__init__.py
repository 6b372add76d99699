"""Where it stays: the one door through which state changes."""
