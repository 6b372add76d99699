"""Every stored record hashed once, as fast as this language hashes, by one process or several.

Rules:
- What is hashed is compared with the hash that is stored beside it, and becomes the tree that checkpoints are
  held against. Nothing is parsed here: bytes that a checkpoint covers are what they were.
- A process takes a range of whole tiles and gives back one hash for each of them, so memory does not grow
  with the records but with one 256th of their hashes.
"""

import hashlib
import itertools
import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from typing import Final, NamedTuple

from pratique.audit.merkle import HASH_BYTES, TILE, TILE_HEIGHT, complete_root
from pratique.ledger.tree import StoredTree, leaves

_ROWS: Final = "SELECT leaf, body FROM records WHERE seq > ? AND seq <= ? ORDER BY seq"
_PAGE: Final = 32
"""Rows that are fetched at once: few enough to be hashed while they are still in the processor's cache."""

_MAPPED: Final = 1 << 40

_WORTH_A_PROCESS: Final = 50_000
"""Records below which a second process costs more than it saves."""

Progress = Callable[[int], None]
"""Told how many records more were hashed."""


class Scanned(NamedTuple):
    """What hashing found: the roots of the full tiles, one after the other, and whether all hashes fitted."""

    roots: bytes
    sound: bool


def scan(driver: sqlite3.Connection, after: int, last: int, progress: Progress) -> Scanned:
    """Hash the records `after` + 1 to `last`; give the root of each tile that ends among them.

    Args:
        driver: the driver's connection.
        after: what was dropped, or is somebody else's: the leaves of its last tile are read, not hashed.
        last: the last record's number.
        progress: told after each tile.
    """
    rows, sha256, at = driver.execute(_ROWS, (after, last)), hashlib.sha256, after
    begun = leaves(driver, after >> TILE_HEIGHT)[: after % TILE] if after % TILE else []
    roots = bytearray()
    while page := rows.fetchmany(min(_PAGE, TILE - len(begun))):
        stored, bodies = zip(*page, strict=True)
        try:
            found = [sha256(b"\x00" + body).digest() for body in bodies]
        except TypeError:  # a column of SQLite can hold anything
            return Scanned(bytes(roots), sound=False)
        if tuple(found) != stored:
            return Scanned(bytes(roots), sound=False)
        begun += found
        at += len(found)
        if len(begun) == TILE:
            roots += complete_root(begun)
            begun = []
            progress(TILE)
    return Scanned(bytes(roots), sound=at == last)  # a number that is missing is one too few


def scan_file(
    uri: str, driver: sqlite3.Connection, after: int, last: int, progress: Progress, processes: int = 1
) -> Scanned:
    """Hash as `scan` does, with several processes where that is worth it.

    Args:
        uri: of the file, for other processes to open for reading.
        driver: this process's connection.
        after: what was dropped.
        last: the last record's number.
        progress: told how many records more were hashed.
        processes: how many may work.
    """
    share = -(-(last - after) // processes)
    if processes < 2 or share < _WORTH_A_PROCESS or threading.active_count() > 1:  # noqa: PLR2004  # one is none more
        return scan(driver, after, last, progress)
    bounds = [after, *((after + share * n) // TILE * TILE for n in range(1, processes)), last]
    ranges = list(itertools.pairwise(bounds))
    # Forked, because there is one thread: a fresh interpreter would take longer to start than a share takes.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        tasks = [pool.submit(_scan_range, uri, *each) for each in ranges]
        found = []
        for task, (low, high) in zip(tasks, ranges, strict=True):
            found.append(task.result())
            progress(high - low)
    return Scanned(b"".join(each.roots for each in found), all(each.sound for each in found))


def _scan_range(uri: str, after: int, last: int) -> Scanned:
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as driver:
        # Mapped: nothing else lives in this process, so a file that is cut meanwhile ends only it.
        driver.execute(f"PRAGMA mmap_size={_MAPPED}")
        return scan(driver, after, last, lambda _: None)


class ScannedTree(StoredTree):
    """The tree as the records' bytes make it: of what is stored, only leaf hashes that were compared.

    Args:
        driver: the driver's connection.
        dropped: how many records are gone; their leaf hashes are believed until a checkpoint says otherwise.
        roots: of the full tiles past those that were dropped whole.
    """

    def __init__(self, driver: sqlite3.Connection, dropped: int, roots: bytes) -> None:
        super().__init__(driver)
        gone = [complete_root(leaves(driver, tile)) for tile in range(dropped >> TILE_HEIGHT)]
        self._levels = [[*gone, *(roots[at : at + HASH_BYTES] for at in range(0, len(roots), HASH_BYTES))]]
        while len(self._levels[-1]) >= TILE:
            below = self._levels[-1]
            whole = len(below) - len(below) % TILE
            self._levels.append([complete_root(below[at : at + TILE]) for at in range(0, whole, TILE)])

    def level(self, level: int) -> list[bytes]:
        """Return every node of a stored level, 1 or above."""
        return self._levels[level - 1] if level <= len(self._levels) else []

    def _tile(self, level: int, tile: int) -> list[bytes]:
        if level == 0:
            return super()._tile(level, tile)
        return self.level(level)[tile * TILE : (tile + 1) * TILE]
