"""A process that commits to a ledger together with others. Started by test_processes.py.

Usage: python -m tests.ledger.committer FOLDER NAME COUNT TASKS. Waits for a line on standard input, then
commits COUNT entries from TASKS tasks, and writes `seq leaf` for each one that was acknowledged.
"""

import asyncio
import os
import sys
from pathlib import Path

from pratique.ledger.door import Ledger
from pratique.ledger.sequencer import Entry, Receipt


async def main(folder: Path, name: str, count: int, tasks: int) -> None:
    with Ledger(folder) as ledger:
        os.write(1, b"ready\n")
        sys.stdin.readline()

        async def commit(task: int) -> None:
            for n in range(task, count, tasks):
                done = await ledger.commit(
                    Entry(
                        drafts=({"type": "erase.proposed", "proposal": f"{name}{n}", "text": f"{name}{n}"},)
                    )
                )
                if isinstance(done, Receipt):
                    os.write(1, f"{done.seq} {done.leaf.hex()}\n".encode())

        await asyncio.gather(*map(commit, range(tasks)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
