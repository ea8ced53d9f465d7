"""Counts are written with correct singular and plural."""

from hpa_sdk.errors import count_of


def test_one_is_singular_and_all_others_are_plural() -> None:
    counted = [count_of(number, "field") for number in (0, 1, 2, 31_072)]
    assert counted == ["0 fields", "1 field", "2 fields", "31,072 fields"]
