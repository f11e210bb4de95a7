"""Currencies, and how many of their smallest units make one.

Amounts are whole numbers of a currency's smallest unit as payment providers count it (docs.stripe.com/currencies). That
is a hundredth of most currencies, all of one that has no smaller coin, and a thousandth of a few. Providers count some
that have no coin any more, such as the Icelandic króna, in hundredths all the same. So the digits are these, and not
what a country's people write.
"""

from decimal import Decimal

from babel.numbers import list_currencies

#: Whose smallest unit is one of them.
WHOLE = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
#: Whose smallest unit is a thousandth; providers take whole hundredths of them alone.
THOUSANDTHS = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


class NotThatSmall(ValueError):
    """An amount that can't be paid in its currency."""


def is_known(currency: str) -> bool:
    """Whether it is the ISO 4217 code of a currency."""
    return currency in list_currencies()


def digits(currency: str) -> int:
    """Decimal places of an amount, as providers count it."""
    if currency in WHOLE:
        return 0
    return 3 if currency in THOUSANDTHS else 2


def amount(cents: int, currency: str) -> Decimal:
    """Smallest units of a currency as an amount of it: 4900 are 49.00 USD and 4900 JPY."""
    return Decimal(cents).scaleb(-digits(currency))


def plain(cents: int, currency: str) -> str:
    """The same without the sign of the currency, as it is typed into a form: at most two places."""
    return f"{amount(cents, currency):.{min(digits(currency), 2)}f}"


def from_hundredths(hundredths: int, currency: str) -> int:
    """An amount that was typed with two places, in smallest units. Raises `NotThatSmall` for half a yen."""
    units, rest = divmod(hundredths * int(10 ** digits(currency)), 100)
    if rest:
        raise NotThatSmall(currency)
    return units
