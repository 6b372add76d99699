"""What a server may say is counted before it is read."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pratique.proxy.bounds import Bounds
from pratique.proxy.budget import LEAST, SMALL, Budget, holds_at_most

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def values_in(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + sum(map(values_in, inner))


@given(JSON, st.booleans())
def test_no_text_holds_more_values_than_it_is_permitted(value: object, plain: bool) -> None:
    text = json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    assert not holds_at_most(text, values_in(value) - 1)
    assert holds_at_most(text, 2 * values_in(value) + 1)


def test_commas_within_words_do_not_count() -> None:
    assert holds_at_most(json.dumps(['a,[{\\"' * 1000, "\\"]).encode(), 4)


def test_a_small_message_is_paid_for_and_a_large_one_needs_a_request() -> None:
    now = [0.0]
    budget = Budget(Bounds(burst_bytes=10 * LEAST, rate_bytes=LEAST), lambda: now[0])
    assert not budget.takes(SMALL + 1)
    assert [budget.takes(1) for _ in range(11)] == [True] * 10 + [False]
    now[0] = 2.0
    assert budget.takes(1)
    budget.asked()
    assert budget.takes(SMALL)
    assert not budget.answered() or not budget.answered()


def test_each_request_permits_one_large_message() -> None:
    budget = Budget(Bounds(), lambda: 0.0)
    budget.asked()
    assert budget.takes(SMALL + 1)
    assert budget.answered()
    assert not budget.takes(SMALL + 1)
