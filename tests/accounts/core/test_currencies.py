"""Amounts are whole numbers of a currency's smallest unit; how many of them make one depends on the currency."""

import pytest
from django.utils import translation

from accounts.core.currencies import NotThatSmall, from_hundredths, is_known, plain
from accounts.core.formats import money


@pytest.mark.parametrize(
    ("cents", "currency", "english", "french"),
    [
        (4900, "USD", "$49.00", "49,00\xa0$US"),
        (4900, "JPY", "¥4,900", "4\u202f900\xa0JPY"),
        (500, "KRW", "₩500", "500\xa0₩"),
        (4900, "KWD", "KWD\xa04.900", "4,900\xa0KWD"),
        # Counted in hundredths by providers, though nobody has a coin of one.
        (490000, "ISK", "ISK\xa04,900", "4\u202f900\xa0ISK"),
        (490000, "HUF", "HUF\xa04,900.00", "4\u202f900,00\xa0HUF"),
    ],
)
def test_an_amount_is_shown_in_its_own_units(cents: int, currency: str, english: str, french: str) -> None:
    assert money(cents, currency) == english
    with translation.override("fr"):
        assert money(cents, currency) == french


def test_what_is_typed_with_two_places_becomes_the_smallest_units() -> None:
    assert [from_hundredths(490000, currency) for currency in ("USD", "JPY", "KWD")] == [490000, 4900, 4900000]
    with pytest.raises(NotThatSmall):
        from_hundredths(490050, "JPY")


def test_and_back_again_as_it_is_typed() -> None:
    assert [plain(4900, currency) for currency in ("USD", "JPY", "KWD")] == ["49.00", "4900", "4.90"]


def test_a_code_of_no_currency_is_known_for_none() -> None:
    assert (is_known("JPY"), is_known("XYZ"), is_known("usd"), is_known("")) == (True, False, False, False)
