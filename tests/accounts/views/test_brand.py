"""The brand's style sheet and mark: for everybody, kept by browsers, and nobody's session is looked at."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.branding import brand

pytestmark = pytest.mark.django_db
YEAR = "public, max-age=31536000, immutable"
MINUTES = "public, max-age=300"


@pytest.fixture(autouse=True)
def acme(settings: Settings) -> None:
    settings.BRAND_NAME, settings.BRAND_COLOUR = "Acme & Sons", "#7a0b74"


def test_the_style_sheet_has_the_colours_of_the_brand(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        answer = Client().get("/brand.css")
    assert answer["Content-Type"] == "text/css"
    text = answer.content.decode()
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    assert "--brand: #7a0b74;" in light
    assert "--on-brand: #ffffff;" in light
    assert f"--brand: {brand.current().dark.fill};" in dark
    assert "Vary" not in answer
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/brand.svg", "/favicon.ico"])
def test_the_mark_is_the_first_letter_on_the_colour(path: str) -> None:
    answer = Client().get(path)
    assert answer["Content-Type"] == "image/svg+xml"
    assert 'fill="#7a0b74"' in answer.content.decode()
    assert ">A</text>" in answer.content.decode()


@pytest.mark.parametrize("path", ["/brand.css", "/brand.svg", "/favicon.ico"])
def test_who_has_it_keeps_it_or_is_told_that_nothing_has_changed(path: str) -> None:
    first = Client().get(path)
    assert first["Cache-Control"] == MINUTES
    again = Client().get(path, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["Cache-Control"] == MINUTES
    assert Client().get(path, {"v": brand.current().version})["Cache-Control"] == YEAR
    assert Client().get(path, {"v": "of-another-brand"})["Cache-Control"] == MINUTES


def test_another_colour_is_another_file(settings: Settings) -> None:
    before = Client().get("/brand.css")["ETag"]
    settings.BRAND_COLOUR = "#0b5c74"
    after = Client().get("/brand.css", headers={"If-None-Match": before})
    assert after.status_code == 200
    assert after["ETag"] != before


def test_a_letter_that_means_something_in_svg_does_not_there(settings: Settings) -> None:
    settings.BRAND_NAME = "<"
    assert ">&lt;</text>" in Client().get("/brand.svg").content.decode()


def test_pages_take_the_files_of_this_version() -> None:
    page = Client().get("/auth/login/").content.decode()
    version = brand.current().version
    assert f'<link rel="stylesheet" href="/brand.css?v={version}">' in page
    assert f'<link rel="icon" href="/brand.svg?v={version}" type="image/svg+xml">' in page
    assert "<title>Sign in · Acme &amp; Sons</title>" in page
