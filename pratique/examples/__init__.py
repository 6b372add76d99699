"""The examples, under one name whether they are installed or in a checkout.

Rules:
- A wheel carries them in this folder. In a checkout they are beside the package, where readers look.
- They are read and imported from here, and never written to.
"""

from pathlib import Path

_beside_the_package = Path(__file__).resolve().parents[2] / "examples"

if not (Path(__file__).parent / "support").is_dir() and _beside_the_package.is_dir():
    __path__.append(str(_beside_the_package))
