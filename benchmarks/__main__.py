"""`make bench`: every table, one after the other. `ARGS="--json"` for programs, `--quick` for a look."""

import sys

from benchmarks import (
    calls,
    decision,
    frameworks,
    http,
    ledger,
    mcp,
    provenance,
    queue_page,
    replay,
    sandbox,
    verify,
)
from benchmarks.table import as_json, machine, show

TABLES = {
    "decision": decision,
    "calls": calls,
    "provenance": provenance,
    "http": http,
    "mcp": mcp,
    "frameworks": frameworks,
    "ledger": ledger,
    "queue_page": queue_page,
    "verify": verify,
    "replay": replay,
    "sandbox": sandbox,
}


def main(arguments: list[str]) -> None:
    """Run the named tables, or all of them."""
    chosen = [name for name in arguments if name in TABLES] or list(TABLES)
    quick = "--quick" in arguments
    print(machine(), file=sys.stderr)
    for name in chosen:
        rows = TABLES[name].rows(quick=quick)
        print(as_json(rows)) if "--json" in arguments else show(name, rows)


main(sys.argv[1:])
