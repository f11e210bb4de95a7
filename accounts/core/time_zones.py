"""Time zones as people look for them: by their city and country, under their part of the world, with today's offset.

The names are those of Unicode's CLDR (Babel); aliases, and zones that no city has, are not offered. What a browser says
is taken if it names a zone, under whichever of its names.
"""

import zoneinfo
from datetime import date, datetime
from functools import lru_cache

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input
from accounts.core.foreign_input import words

#: Where the browser says its zone (`static/zone.js`).
COOKIE = "time_zone"
#: The parts of the world, by how the names of their zones begin.
REGIONS: dict[str, "str | Promise"] = {
    "Africa": _("Africa"),
    "America": _("America"),
    "Antarctica": _("Antarctica"),
    "Arctic": _("Arctic"),
    "Asia": _("Asia"),
    "Atlantic": _("Atlantic"),
    "Australia": _("Australia"),
    "Europe": _("Europe"),
    "Indian": _("Indian Ocean"),
    "Pacific": _("Pacific"),
}
UTC = "UTC"

#: Zones under one heading: their names, and what people read.
Group = tuple[str, list[tuple[str, str]]]


def offered(at: datetime) -> list[Group]:
    """The zones of the world in the reader's language, by region and city, with their offsets at `at`."""
    return _offered(translation.get_language() or "en", at.date())


def canonical(name: str) -> str:
    """The name under which a zone is offered; the same for one that is not."""
    found = str(get_global("zone_aliases").get(name, name))
    return UTC if found in ("Etc/UTC", "Etc/GMT") else found


def is_offered(name: str) -> bool:
    return name == UTC or name in _cities()


def place(name: str) -> str:
    """Where a zone is, in the reader's language: “Paris, France”; its bare name where no city has it."""
    return _place(canonical(name), Locale.parse(translation.get_language() or "en", sep="-"))


def told_by_browser(cookie: str) -> str:
    """The zone that a cookie names, as it is offered; empty for what names none."""
    name = canonical(cookie.strip())
    return name if len(name) <= 64 and foreign_input.is_zone(name) else ""


@lru_cache(maxsize=1)
def _cities() -> frozenset[str]:
    known, aliases = foreign_input.zones(), get_global("zone_aliases")
    return frozenset(
        name
        for name in get_global("zone_territories")
        if name in known and name not in aliases and name.split("/")[0] in REGIONS
    )


@lru_cache(maxsize=8)
def _offered(language: str, day: date) -> list[Group]:
    """Made once for a day and a language: offsets change at night, as a rule."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=zoneinfo.ZoneInfo(UTC))
    locale = Locale.parse(language, sep="-")
    groups: list[Group] = [(UTC, [(UTC, UTC)])]
    with translation.override(language):
        for region, heading in REGIONS.items():
            zones = [(name, _label(name, locale, at)) for name in _cities() if name.split("/")[0] == region]
            groups.append((str(heading), sorted(zones, key=lambda zone: words(zone[1]))))
    return groups


def _label(name: str, locale: Locale, at: datetime) -> str:
    return f"{_place(name, locale)} (UTC{_offset(at.astimezone(foreign_input.zone(name)))})"


def _place(name: str, locale: Locale) -> str:
    if name not in _cities():
        return name
    city = get_timezone_location(foreign_input.zone(name), locale=locale, return_city=True)
    country = locale.territories.get(get_global("zone_territories")[name], "")
    return city if country in ("", city) else f"{city}, {country}"


def _offset(local: datetime) -> str:
    """“+05:30”, with the sign that reads as a minus."""
    text = local.strftime("%z")
    return f"{text[0].replace('-', '−')}{text[1:3]}:{text[3:5]}"
