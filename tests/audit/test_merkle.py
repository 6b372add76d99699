"""The tree is RFC 6962's: the published vectors, and laws that hold for every tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique.audit.merkle import (
    EMPTY,
    Frontier,
    complete_root,
    consistency_proof,
    cover,
    inclusion_proof,
    node,
    proves_consistency,
    proves_inclusion,
    root_of,
)
from pratique.audit.record import leaf_hash

# Entries, roots and proofs: github.com/transparency-dev/merkle, proof/verify_test.go (from Certificate
# Transparency's own tests).
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
A, B, C, D, E, F, G, H, J = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
)
INCLUSION = {(0, 8): (A, B, C), (5, 8): (D, E, F), (2, 3): (ROOTS[1].hex(),), (1, 5): (J, B, D)}
CONSISTENCY = {(1, 8): (A, B, C), (6, 8): (G, E, F), (2, 5): (B, D), (6, 7): (G, H, F), (1, 1): ()}

LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def plain_root(leaves: list[bytes]) -> bytes:
    """Return the root by the definition in RFC 6962, 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node(plain_root(leaves[:half]), plain_root(leaves[half:]))


class Tree:
    """A tree held as its leaves."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves

    def subtree(self, height: int, index: int) -> bytes:
        return complete_root(self.leaves[index << height : (index + 1) << height])


def hashes(*texts: str) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, texts))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots(size: int) -> None:
    frontier = Frontier()
    frontier.extend(LEAVES[:size])
    assert frontier.root() == ROOTS[size - 1] == root_of(size, Tree(LEAVES).subtree)


@pytest.mark.parametrize(("place", "expected"), INCLUSION.items())
def test_the_published_inclusion_proofs(place: tuple[int, int], expected: tuple[str, ...]) -> None:
    index, size = place
    assert inclusion_proof(index, size, Tree(LEAVES).subtree) == hashes(*expected)
    assert proves_inclusion(LEAVES[index], index, size, hashes(*expected), ROOTS[size - 1])


@pytest.mark.parametrize(("sizes", "expected"), CONSISTENCY.items())
def test_the_published_consistency_proofs(sizes: tuple[int, int], expected: tuple[str, ...]) -> None:
    old, new = sizes
    assert consistency_proof(old, new, Tree(LEAVES).subtree) == hashes(*expected)
    assert proves_consistency(old, ROOTS[old - 1], new, ROOTS[new - 1], hashes(*expected))


def spoiled(proof: tuple[bytes, ...], root: bytes) -> list[tuple[bytes, ...]]:
    """Return proofs that must not verify: the mutations of the published negative vectors."""
    flipped = [
        (*proof[:at], bytes([hash_[0] ^ 8, *hash_[1:]]), *proof[at + 1 :]) for at, hash_ in enumerate(proof)
    ]
    return [(*proof, root), (root, *proof), (*proof, b""), (b"", *proof), *flipped, proof[:-1]]


@pytest.mark.parametrize("size", range(1, 9))
def test_no_mutation_of_an_inclusion_proof_verifies(size: int) -> None:
    root = ROOTS[size - 1]
    for index in range(size):
        proof = inclusion_proof(index, size, Tree(LEAVES).subtree)
        leaf = LEAVES[index]
        assert proves_inclusion(leaf, index, size, proof, root)
        wrong = spoiled(proof, root) if proof else [(root,), (b"",)]
        assert not any(proves_inclusion(leaf, index, size, bad, root) for bad in wrong)
        for at, of in ((index - 1, size), (index + 1, size), (index ^ 2, size), (index, size * 2)):
            assert not proves_inclusion(leaf, at, of, proof, root)
        assert not proves_inclusion(b"WrongLeaf", index, size, proof, root)
        assert not proves_inclusion(leaf, index, size, proof, EMPTY)


@pytest.mark.parametrize(("sizes", "expected"), [item for item in CONSISTENCY.items() if item[1]])
def test_no_mutation_of_a_consistency_proof_verifies(
    sizes: tuple[int, int], expected: tuple[str, ...]
) -> None:
    old, new = sizes
    proof, before, after = hashes(*expected), ROOTS[old - 1], ROOTS[new - 1]
    assert not any(proves_consistency(old, before, new, after, bad) for bad in [*spoiled(proof, before), ()])
    for one, two in ((old - 1, new), (old + 1, new), (old ^ 2, new), (old, new * 2), (old, new // 2)):
        assert not proves_consistency(one, before, two, after, proof)
    assert not proves_consistency(old, after, new, before, proof)
    assert not proves_consistency(old, EMPTY, new, after, proof)


def test_the_smallest_consistency_cases() -> None:
    one, two = ROOTS[0], ROOTS[1]
    assert proves_consistency(0, EMPTY, 0, EMPTY, ())
    assert proves_consistency(0, EMPTY, 2, two, ())
    assert proves_consistency(1, one, 1, one, ())
    assert not proves_consistency(0, EMPTY, 2, two, (one,))
    assert not proves_consistency(0, one, 2, two, ())
    assert not proves_consistency(1, one, 1, one, (one,))
    assert not proves_consistency(1, one, 0, EMPTY, ())
    assert not proves_consistency(1, one, 2, two, ())
    with pytest.raises(ValueError, match="does not contain"):
        consistency_proof(3, 2, Tree(LEAVES).subtree)
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(2, 2, Tree(LEAVES).subtree)


@given(st.integers(0, 700), st.data())
def test_every_tree_proves_every_leaf_and_every_past(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([at % 256, at // 256])) for at in range(size)]
    tree, frontier = Tree(leaves), Frontier()
    frontier.extend(leaves)
    assert frontier.root() == plain_root(leaves) == root_of(size, tree.subtree)
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(old, size, tree.subtree)
    past = plain_root(leaves[:old])
    assert proves_consistency(old, past, size, frontier.root(), proof)
    if 0 < old < size:
        assert not proves_consistency(old, leaf_hash(b"other"), size, frontier.root(), proof)
    if size:
        index = data.draw(st.integers(0, size - 1))
        path = inclusion_proof(index, size, tree.subtree)
        assert proves_inclusion(leaves[index], index, size, path, frontier.root())
        assert not proves_inclusion(leaf_hash(b"other"), index, size, path, frontier.root())


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_cover_is_aligned_whole_and_in_order(start: int, length: int) -> None:
    at = start
    for height, index in cover(start, start + length):
        assert index << height == at
        at += 1 << height
    assert at == start + length


@given(st.integers(0, 2000), st.integers(0, 600))
def test_a_frontier_goes_on_from_its_peaks(size: int, more: int) -> None:
    leaves = [leaf_hash(at.to_bytes(4, "big")) for at in range(size + more)]
    tree = Tree(leaves)
    resumed = Frontier(size, [tree.subtree(*place) for place in cover(0, size)])
    for height, index in cover(size, size + more):
        resumed.add(tree.subtree(height, index), height)
    assert resumed.root() == plain_root(leaves)
    assert resumed.peaks == tuple(tree.subtree(*place) for place in cover(0, size + more))
    with pytest.raises(ValueError, match="peaks"):
        Frontier(size + 1, resumed.peaks + (EMPTY,) * 40)
    if size % 2:
        with pytest.raises(ValueError, match="no subtree"):
            Frontier(size, [tree.subtree(*place) for place in cover(0, size)]).add(EMPTY, 1)
