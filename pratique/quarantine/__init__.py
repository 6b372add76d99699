"""Where is it from? Value-level provenance, and how text from outside is shown or withheld.

Pure: no I/O, no clock, no randomness. `Tracker` follows values, `judge` says what follows from that.
"""
