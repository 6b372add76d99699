"""One run of an agent: what its code holds (`session`), and how the ledger keeps it (`hosting`)."""
