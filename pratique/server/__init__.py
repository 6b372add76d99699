"""The doors for machines and browsers."""
