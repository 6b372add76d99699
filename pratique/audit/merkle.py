"""The Merkle tree over the records' leaf hashes: roots, and proofs that a few dozen hashes carry.

Rules:
- Hashing is RFC 6962, 2.1: a leaf hash is SHA-256(0x00 ‖ record), a node SHA-256(0x01 ‖ left ‖ right).
- Records are counted from 1, leaves of the tree from 0: record `n` is leaf `n - 1`.
- A *complete subtree* (height, index) covers the leaves index·2^height up to (index + 1)·2^height. Where its
  hash comes from is the caller's business: proofs ask for it by a function.
- Proofs are verified by the algorithms of RFC 9162, 2.1.3.2 and 2.1.4.2.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

TILE_HEIGHT: Final = 8
TILE: Final = 1 << TILE_HEIGHT
"""Leaves below one stored hash: C2SP tlog-tiles has the same width."""

Subtree = Callable[[int, int], bytes]
"""(height, index) → the hash of that complete subtree."""

_sha256 = hashlib.sha256


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return _sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a complete tree over these hashes; their number is a power of two."""
    level = list(hashes)
    while len(level) > 1:
        nodes = iter(level)
        level = [_sha256(b"\x01" + left + right).digest() for left, right in zip(nodes, nodes, strict=True)]
    return level[0]


class Frontier:
    """A tree that only grows, held as its few largest complete subtrees (a compact range from 0).

    Args:
        size: how many leaves it has already.
        peaks: the hashes of `cover(0, size)`, largest first.
    """

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []
        places = cover(0, size)
        if len(places) != len(peaks):
            raise ValueError(f"a tree of {size} leaves has {len(places)} peaks, not {len(peaks)}")
        for (height, _), peak in zip(places, peaks, strict=True):
            self.add(peak, height)

    def add(self, hash_: bytes, height: int = 0) -> None:
        """Append a leaf, or a complete subtree at a place that fits it."""
        if self.size % (1 << height):
            raise ValueError(f"no subtree of height {height} starts at leaf {self.size}")
        self.size += 1 << height
        peaks = self._peaks
        while peaks and peaks[-1][0] == height:
            hash_ = node(peaks.pop()[1], hash_)
            height += 1
        peaks.append((height, hash_))

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append leaves, whole tiles at once where they fit."""
        at = 0
        while at < len(leaves):
            if self.size % TILE == 0 and len(leaves) - at >= TILE:
                self.add(complete_root(leaves[at : at + TILE]), TILE_HEIGHT)
                at += TILE
            else:
                self.add(leaves[at])
                at += 1

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The hashes of `cover(0, size)`."""
        return tuple(hash_ for _, hash_ in self._peaks)

    def root(self) -> bytes:
        """Return the root as the tree is now."""
        return fold(self.peaks)


def fold(peaks: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees of falling height."""
    if not peaks:
        return EMPTY
    root = peaks[-1]
    for peak in peaks[-2::-1]:
        root = node(peak, root)
    return root


def cover(start: int, end: int) -> list[tuple[int, int]]:
    """Return the complete subtrees (height, index) that cover the leaves from `start` to before `end`."""
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        found.append((height, start >> height))
        start += 1 << height
    return found


def root_of(size: int, subtree: Subtree) -> bytes:
    """Return the root of the tree's first `size` leaves."""
    return _range(0, size, subtree)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """Return the audit path of leaf `index` in a tree of `size` leaves (RFC 6962, 2.1.1), leaf end first.

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(middle, end, subtree))
            end = middle
        else:
            path.append(_range(start, middle, subtree))
            start = middle
    return tuple(reversed(path))


def consistency_proof(old: int, new: int, subtree: Subtree) -> tuple[bytes, ...]:
    """Return the proof that a tree of `old` leaves is the beginning of one of `new` (RFC 6962, 2.1.2).

    Raises:
        ValueError: `old` is larger than `new`.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not contain one of {old}")
    if old in (0, new):
        return ()
    start, end, path, whole = 0, new, [], True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range(middle, end, subtree))
            end = middle
        else:
            path.append(_range(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        path.append(_range(start, end, subtree))
    return tuple(reversed(path))


def proves_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether `proof` shows that `leaf` is leaf `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes((leaf, root, *proof)):
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def proves_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether `proof` shows that the old tree is the beginning of the new one (RFC 9162, 2.1.4.2).

    An empty tree is the beginning of every tree, by an empty proof.
    """
    if not 0 <= old <= new or not _are_hashes((old_root, new_root, *proof)):
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY
    if not proof:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node(sibling, before), node(sibling, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node(after, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _range(start: int, end: int, subtree: Subtree) -> bytes:
    return fold([subtree(height, index) for height, index in cover(start, end)])


def _are_hashes(hashes: Iterable[bytes]) -> bool:
    return all(len(hash_) == HASH_BYTES for hash_ in hashes)
