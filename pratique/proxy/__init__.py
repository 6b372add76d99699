"""Other programs' tools: Model Context Protocol servers whose tools come under our capabilities.

Rules:
- What a server says of itself is text from outside. Nothing it lists can be called before a person has
  approved that very definition, and a definition that changes has to be approved again.
- What agents and people are shown is the approved definition, out of the ledger, not what a server says now.
"""
