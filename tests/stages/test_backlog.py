from hypothesis import given
from hypothesis import strategies as st

from pratique.stages.backlog import LARGEST_WAITING, MOST_WAITING, Backlog

SIZES = st.lists(st.integers(0, LARGEST_WAITING // 3), max_size=40)


@given(SIZES, st.integers(0, 40))
def test_everything_is_taken_in_once_and_in_order(sizes: list[int], settled_at: int) -> None:
    taken: list[int] = []
    backlog: Backlog[int] = Backlog(taken.append)
    for number, size in enumerate(sizes):
        if number == settled_at:
            backlog.settle()
            assert taken == list(range(number))
        backlog.add(number, size)
    backlog.settle()
    assert taken == list(range(len(sizes)))


@given(SIZES)
def test_what_waits_is_bounded_by_its_size(sizes: list[int]) -> None:
    taken: list[int] = []
    backlog: Backlog[int] = Backlog(taken.append)
    for number, size in enumerate(sizes):
        backlog.add(number, size)
        assert sum(sizes[len(taken) : number + 1]) <= LARGEST_WAITING


def test_what_waits_is_bounded_by_its_number() -> None:
    taken: list[int] = []
    backlog: Backlog[int] = Backlog(taken.append)
    for number in range(MOST_WAITING + 3):
        backlog.add(number, 0)
    assert taken == [0, 1, 2]


def test_one_thing_that_is_too_large_does_not_wait() -> None:
    taken: list[str] = []
    backlog: Backlog[str] = Backlog(taken.append)
    backlog.add("large", LARGEST_WAITING + 1)
    assert taken == ["large"]
