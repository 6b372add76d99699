"""`python -m pratique`: the same as the console script."""

from pratique.cli import main

main()
