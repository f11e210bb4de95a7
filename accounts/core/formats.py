"""Instants, days, money and counts in the reader's language and zone: for pages, mails and the desk's lists."""

import re
from datetime import UTC, datetime, timedelta
from datetime import date as calendar_date
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_unit
from django.conf import settings
from django.utils import timezone, translation
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.core import currencies


def _locale() -> Locale:
    try:
        return Locale.parse(translation.get_language() or settings.LANGUAGE_CODE, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(settings.LANGUAGE_CODE)


def local_time(at: datetime) -> datetime:
    """The instant in the reader's zone; in its own, where the calendar ends before it gets there."""
    try:
        return timezone.localtime(at)
    except OverflowError:
        return at


def moment(at: datetime) -> str:
    """Date, time and zone as text, for mails: “Tuesday, December 22, 2026, 10:00 AM (CET)”."""
    local = local_time(at)
    locale = _locale()
    clock = format_time(local.timetz().replace(tzinfo=None), "short", locale=locale)
    return f"{_date(local, 'full')}, {clock} ({local.tzname()})"


def day(at: datetime) -> str:
    """The date as text: “December 22, 2026”."""
    return _date(local_time(at), "long")


def _date(local: datetime, length: Literal["full", "long"]) -> str:
    locale = _locale()
    text = format_date(local.date(), length, locale=locale)
    if locale.language == "fr" and local.day == 1:
        # CLDR has no ordinal here; French writes "1er janvier".
        return re.sub(r"\b1 ", "1er ", text, count=1)
    return text


def instant(at: datetime) -> SafeString:
    """Date, time and zone for a page; the markup holds the UTC instant for machines and for those who point at it."""
    return _time(at, moment(at))


def stamp(at: datetime) -> SafeString:
    """Date and time in short, for tables that say once whose zone it is: “Dec 22, 2026, 10:00 AM”."""
    return _time(at, brief(at))


def brief(at: datetime) -> str:
    """Date and time in short as text: “Dec 22, 2026, 10:00 AM”."""
    local = local_time(at)
    locale = _locale()
    clock = format_time(local.timetz().replace(tzinfo=None), "short", locale=locale)
    return f"{format_skeleton('yMMMd', local, locale=locale)}, {clock}"


def date(at: datetime) -> SafeString:
    """The date alone for a page, with the UTC instant in the markup."""
    return _time(at, day(at))


def _time(at: datetime, text: str) -> SafeString:
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        text,
    )


def money(cents: int, currency: str) -> str:
    """An amount of a currency's smallest units, as it is written where the reader lives."""
    written = format_currency(currencies.amount(cents, currency), currency, locale=_locale())
    # Letters are set apart from the number, as CLDR's rules for spacing want it, and babel does not.
    return re.sub(r"(?<=[A-Z])(?=\d)", "\xa0", written)


#: What durations are told in: the largest unit of which there is one.
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def duration(length: timedelta) -> str:
    """How long something takes, in one unit: “1.5 days”, “4 min”, “0 sec”."""
    seconds = length.total_seconds()
    unit, size = next((unit for unit in _UNITS if seconds >= unit[1]), _UNITS[-1])
    amount = seconds / size
    return format_unit(round(amount, 1 if amount < 10 else 0), f"duration-{unit}", "short", locale=_locale())


def number(amount: float) -> str:
    """A count or a measure: “1,234”."""
    return format_decimal(amount, locale=_locale())


def percent(amount: float) -> str:
    """A share, given in percent, as people write it: “12%”."""
    return format_percent(amount / 100, locale=_locale())


def short_day(on: calendar_date) -> str:
    """Day and month, where there is little room: “Dec 22”."""
    return format_skeleton("MMMd", on, locale=_locale())


def calendar_day(on: calendar_date) -> str:
    """A date that belongs to no instant: “December 22, 2026”."""
    return format_date(on, "long", locale=_locale())
