"""Numbers and dates compare by what they mean."""

from decimal import Decimal

import pytest

from pratique.quarantine.dates import find_date, has_time
from pratique.quarantine.index import Budget, Index
from pratique.quarantine.typed import Date, numbers_in, read_date, read_number


@pytest.mark.parametrize(
    ("text", "number", "stands"),
    [
        ("pay 98.70 now", "98.7", True),
        ("pay 98,70 now", "98.7", True),
        ("1,200.00 due", "1200", True),
        ("costs 10.", "10", True),
        ("in 2012", "12", False),
        ("at 12:30", "12", False),
        ("12.50", "12", False),
        ("version 1.2.3", "1.2", False),
        ("2024-05-12", "12", False),
        ("a12", "12", False),
    ],
)
def test_a_number_stands_in_a_text_only_as_a_whole(text: str, number: str, stands: bool) -> None:
    assert (Decimal(number) in set(numbers_in(text))) is stands


def test_a_number_is_read_by_its_value() -> None:
    assert read_number("1,200.50") == read_number("1200.5") == Decimal("1200.5")
    assert read_number("1e5") is None
    assert read_number("twelve") is None
    assert read_number("9" * 50) is None


def test_a_date_is_read_by_its_form() -> None:
    assert read_date("2024-05-30") == Date(2024, 5, 30)
    assert read_date("2024-05-30T10:20:00Z") == Date(2024, 5, 30, 10, 20)
    assert read_date("2024-13-30") is None
    assert read_date("30/05/2024") is None


@pytest.mark.parametrize(
    ("text", "stands"),
    [
        ("on 2024-05-30.", True),
        ("on 30.05.2024", True),
        ("on 5/30/2024", True),
        ("20240530", True),
        ("May 30th", True),
        ("the 30th of May, 2024", True),
        ("May 30th, 2023", False),
        ("May 31st", False),
        ("2024 05 31", False),
    ],
)
def test_a_date_is_found_however_it_is_written(text: str, stands: bool) -> None:
    index = Index(1000, 1000, 10)
    index.add(text.lower())
    assert (find_date(index, Date(2024, 5, 30), Budget(1000), 100) is not None) is stands


@pytest.mark.parametrize("text", ["at 14:30", "at 2:30 pm", "2.30pm"])
def test_a_time_is_found_in_either_clock(text: str) -> None:
    index = Index(1000, 1000, 10)
    index.add(text)
    assert has_time(index, Date(2024, 5, 30, 14, 30), Budget(1000))
    assert not has_time(index, Date(2024, 5, 30, 15, 30), Budget(1000))
