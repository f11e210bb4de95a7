"""The brand's colours can be read wherever they meet, whatever colour the vendor has."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accounts.branding import brand, colours
from accounts.branding.brand import Brand
from accounts.branding.colours import contrast

#: What `static/pages.css` puts the brand's colours on.
LIGHT_SURFACES = ("#ffffff", "#eef2f5", "#fff6df", "#e2f4ec", "#fde8e8")
DARK_SURFACES = ("#17212c", "#0e151d", "#2c2616", "#143026", "#3b1c1f")


def acme(colour: str = "#0b5c74", name: str = "Acme") -> Brand:
    return Brand(name=name, url="https://acme.example", colour=colour, support_email="help@acme.example", buy_url="")


@given(red=st.integers(0, 255), green=st.integers(0, 255), blue=st.integers(0, 255))
def test_every_colour_that_is_accepted_can_be_read_in_light_and_dark(red: int, green: int, blue: int) -> None:
    colour = f"#{red:02x}{green:02x}{blue:02x}"
    assume(not brand.colour_problem(colour))
    light, dark = acme(colour).light, acme(colour).dark
    assert contrast(light.fill, light.on_fill) >= 4.5
    assert contrast(light.fill, "#ffffff") >= 4.5
    assert contrast("#16202e", light.tint) >= 4.5
    assert all(contrast(light.link, surface) >= 4.5 for surface in (*LIGHT_SURFACES, light.tint))
    assert contrast(dark.fill, dark.on_fill) >= 4.5
    assert contrast("#e6edf4", dark.tint) >= 4.5
    assert all(contrast(dark.link, surface) >= 4.5 for surface in (*DARK_SURFACES, dark.tint))


@given(red=st.integers(0, 255), green=st.integers(0, 255), blue=st.integers(0, 255))
def test_what_is_offered_instead_of_a_colour_that_is_refused_is_accepted(red: int, green: int, blue: int) -> None:
    colour = f"#{red:02x}{green:02x}{blue:02x}"
    problem = brand.colour_problem(colour)
    assert bool(problem) is (contrast(colour, colours.WHITE) < 4.5)
    if problem:
        assert not brand.colour_problem(problem.rpartition(" ")[2].rstrip("."))


@pytest.mark.parametrize(("name", "initial"), [("Acme", "A"), ("«élan»", "É"), ("3 Seas", "3"), ("++", "+")])
def test_the_mark_bears_the_first_letter_of_the_name(name: str, initial: str) -> None:
    assert acme(name=name).initial == initial


def test_a_new_colour_or_letter_is_a_new_version_of_the_files() -> None:
    versions = {acme().version, acme("#7a0b74").version, acme(name="Beacon").version}
    assert len(versions) == 3
    assert acme(name="Apex").version == acme().version
