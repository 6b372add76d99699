"""The tree over the records, as the database holds it: one stored hash for 256 records, and for 256 of those.

Rules:
- A record's leaf hash is in its row; `leaf_tiles` keeps the leaf hashes of records that were dropped.
- `tree` holds the root of every full tile: level 1 over 256 leaves, level 2 over 256 of level 1, and so on.
- What is kept in memory between transactions is used only if nobody else has written since: several processes
  may append.

An attacker who can modify these tables can make proofs fail. They cannot make one succeed: whoever verifies a
proof hashes up to a root that somebody signed.
"""

import sqlite3
from typing import Final

from pratique.audit.merkle import HASH_BYTES, TILE, TILE_HEIGHT, complete_root
from pratique.errors import LedgerCorruptError

_LEAVES: Final = "SELECT seq, leaf FROM records WHERE seq > ? AND seq <= ? ORDER BY seq"
_DROPPED: Final = "SELECT hashes FROM leaf_tiles WHERE idx = ?"
_NODES: Final = "SELECT idx, hash FROM tree WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx"
_ADD: Final = "INSERT OR REPLACE INTO tree (level, idx, hash) VALUES (?, ?, ?)"


def grow(driver: sqlite3.Connection, tile: int, hashes: list[bytes]) -> list[bytes]:
    """Store the roots of tiles that are full now; return the leaves of the one that is not.

    Args:
        driver: the driver's connection, inside a transaction.
        tile: the first tile.
        hashes: all leaf hashes from its beginning on.
    """
    full = len(hashes) - len(hashes) % TILE
    for at in range(0, full, TILE):
        _fill(driver, tile + at // TILE, complete_root(hashes[at : at + TILE]))
    return hashes[full:]


def _fill(driver: sqlite3.Connection, index: int, root: bytes) -> None:
    level = 1
    while True:
        driver.execute(_ADD, (level, index, root))
        if (index + 1) % TILE:
            return
        root = complete_root(_nodes(driver, level, index >> TILE_HEIGHT))
        level, index = level + 1, index >> TILE_HEIGHT


def leaves(driver: sqlite3.Connection, tile: int) -> list[bytes]:
    """Return the leaf hashes of one tile, as many as there are: dropped records first, then those that stay.

    Raises:
        LedgerCorruptError: one is missing between others, or is no hash.
    """
    start = tile * TILE
    kept = driver.execute(_DROPPED, (tile,)).fetchone()
    dropped = kept[0] if kept is not None else b""
    if type(dropped) is not bytes or len(dropped) % HASH_BYTES:
        raise LedgerCorruptError(f"leaf tile {tile} is damaged")
    found = [dropped[at : at + HASH_BYTES] for at in range(0, len(dropped), HASH_BYTES)]
    for seq, leaf in driver.execute(_LEAVES, (start + len(found), start + TILE)):
        if seq != start + len(found) + 1 or type(leaf) is not bytes or len(leaf) != HASH_BYTES:
            raise LedgerCorruptError(f"the tree lacks the leaf of record {start + len(found) + 1}")
        found.append(leaf)
    return found


def drop_records(driver: sqlite3.Connection, last: int) -> None:
    """Delete the records up to `last` and their values; keep their leaf hashes."""
    first = driver.execute("SELECT MIN(seq) FROM records").fetchone()[0]
    for tile in range((first - 1) >> TILE_HEIGHT, ((last - 1) >> TILE_HEIGHT) + 1):
        kept = b"".join(leaves(driver, tile)[: last - tile * TILE])
        driver.execute("INSERT OR REPLACE INTO leaf_tiles (idx, hashes) VALUES (?, ?)", (tile, kept))
    driver.execute("DELETE FROM records WHERE seq <= ?", (last,))
    driver.execute("DELETE FROM vault WHERE seq <= ?", (last,))


class StoredTree:
    """Gives the hash of any complete subtree, reading each tile once.

    Args:
        driver: the driver's connection, inside a transaction.
    """

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, height: int, index: int) -> bytes:
        """Return the hash of a complete subtree (`pratique.audit.merkle.Subtree`).

        Raises:
            LedgerCorruptError: what is stored does not reach that far.
        """
        level, inside = divmod(height, TILE_HEIGHT)
        first = index << inside
        tile = self._tile(level, first >> TILE_HEIGHT)
        start = first % TILE
        hashes = tile[start : start + (1 << inside)]
        if len(hashes) != 1 << inside:
            raise LedgerCorruptError(f"the tree lacks the subtree of height {height} at {index}")
        return complete_root(hashes)

    def _tile(self, level: int, tile: int) -> list[bytes]:
        found = self._tiles.get((level, tile))
        if found is None:
            if len(self._tiles) > TILE:
                self._tiles.clear()
            found = leaves(self._driver, tile) if level == 0 else _nodes(self._driver, level, tile)
            self._tiles[level, tile] = found
        return found


def _nodes(driver: sqlite3.Connection, level: int, tile: int) -> list[bytes]:
    start = tile * TILE
    found = driver.execute(_NODES, (level, start, start + TILE)).fetchall()
    if any(index != start + at or type(hash_) is not bytes for at, (index, hash_) in enumerate(found)):
        raise LedgerCorruptError(f"level {level} of the tree is damaged near {start}")
    return [hash_ for _, hash_ in found]
