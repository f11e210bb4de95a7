"""Time zones as people look for them, and as browsers say them."""

import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from accounts.core import time_zones
from accounts.core.foreign_input import words
from accounts.models import Account, User
from tests.factories import PASSWORD, UserFactory

SignIn = Callable[[User | None], Client]
WINTER, SUMMER = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)


def labels(at: datetime) -> dict[str, str]:
    return {name: label for _heading, zones in time_zones.offered(at) for name, label in zones}


def test_zones_stand_under_their_part_of_the_world_with_city_country_and_offset() -> None:
    groups = dict(time_zones.offered(WINTER))
    assert list(groups)[:3] == ["UTC", "Africa", "America"]
    assert ("Europe/Paris", "Paris, France (UTC+01:00)") in groups["Europe"]
    assert ("America/St_Johns", "St. John’s, Canada (UTC−03:30)") in groups["America"]
    assert labels(SUMMER)["Europe/Paris"] == "Paris, France (UTC+02:00)"
    with translation.override("fr"):
        assert labels(WINTER)["Europe/London"] == "Londres, Royaume-Uni (UTC+00:00)"
        assert "Océan Indien" in dict(time_zones.offered(WINTER))


def test_no_alias_and_nothing_that_is_no_place_is_offered() -> None:
    found = labels(WINTER)
    assert not {"localtime", "Factory", "US/Eastern", "GMT", "Etc/GMT+5", "Asia/Calcutta", "EST"} & set(found)
    assert 380 < len(found) < 480
    assert set(found) <= zoneinfo.available_timezones()
    for _heading, zones in time_zones.offered(WINTER):
        cities = [words(label) for _name, label in zones]
        assert cities == sorted(cities)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Europe/Paris", "Europe/Paris"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("US/Eastern", "America/New_York"),
        ("Etc/GMT+5", "Etc/GMT+5"),
        ("UTC", "UTC"),
        ("Mars/Olympus", ""),
        ("../../etc/passwd", ""),
        ("", ""),
        ("x" * 4000, ""),
        ("\x00", ""),
    ],
)
def test_what_a_browser_says_is_taken_if_it_names_a_zone(said: str, kept: str) -> None:
    assert time_zones.told_by_browser(said) == kept


@pytest.mark.django_db
def test_the_zone_and_the_language_of_the_browser_are_taken_at_the_first_sign_in(account: Account, owner: User) -> None:
    client = Client(headers={"accept-language": "fr-CA,fr;q=0.9"})
    client.cookies[time_zones.COOKIE] = "America/Toronto"
    client.post("/auth/login/", {"login": owner.email, "password": PASSWORD})
    owner.refresh_from_db()
    assert (owner.time_zone, owner.browser_time_zone, owner.browser_language) == ("", "America/Toronto", "fr")
    assert str(owner.zone) == "America/Toronto"
    assert "Les heures sont indiquées dans votre fuseau horaire, Toronto, Canada." in client.get("/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "signed_in_before", "read_in"),
    [
        # What a system said that did not know.
        ("UTC", False, "Asia/Tokyo"),
        ("", False, "Asia/Tokyo"),
        ("Europe/Paris", False, "Europe/Paris"),
        # Somebody's choice, which no browser changes.
        ("UTC", True, "UTC"),
    ],
)
def test_what_somebody_chose_stands(given: str, signed_in_before: bool, read_in: str, account: Account) -> None:
    user = UserFactory(time_zone=given, last_login=SUMMER if signed_in_before else None)
    client = Client()
    client.cookies[time_zones.COOKIE] = "Asia/Tokyo"
    client.post("/auth/login/", {"login": user.email, "password": PASSWORD})
    user.refresh_from_db()
    assert str(user.zone) == read_in


@pytest.mark.django_db
def test_who_has_no_zone_reads_that_times_are_in_utc(account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    page = client.get("/").content.decode()
    assert "Times are shown in UTC." in page
    assert "your time zone." not in page
    # Signed in since before the browser was asked.
    client.cookies[time_zones.COOKIE] = "Europe/Paris"
    assert "Times are shown in your time zone, Paris, France." in client.get("/").content.decode()
    owner.refresh_from_db()
    assert owner.browser_time_zone == "Europe/Paris"


@pytest.mark.django_db
def test_preferences_show_a_zone_under_its_name_of_today_and_keep_one_that_is_not_offered(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    client: Any = sign_in(owner)
    for kept, selected in (("Asia/Calcutta", "Asia/Kolkata"), ("Etc/GMT+5", "Etc/GMT+5"), ("", "")):
        User.objects.filter(pk=owner.pk).update(time_zone=kept)
        assert f'<option value="{selected}" selected>' in client.get("/user/preferences/").content.decode()
        answer = client.post("/user/preferences/", {"name": "Olga", "language": "", "time_zone": selected})
        assert answer.status_code == 302
