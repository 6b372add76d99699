"""What runs inside a jail or container, under whatever Python is there.

Rules:
- The standard library only, Python 3.9 or newer, relative imports only: these files are copied into the
  sandbox as they are, without the rest of Pratique.
- `supervisor` is process 1 and stays ours; the guest is its child, and everything it says is checked outside.
"""
