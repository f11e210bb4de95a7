import pytest

from accounts.branding import colours


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#ffffff", 4.00),
    ],
)
def test_contrast_is_what_wcag_says(one: str, other: str, ratio: float) -> None:
    assert colours.contrast(one, other) == pytest.approx(ratio, abs=0.005)
    assert colours.contrast(other, one) == colours.contrast(one, other)


@pytest.mark.parametrize("text", ["#abc", "0b5c74", "#0b5c7", "#0b5c74ff", "red", "#0b5c7g", "#0b5c74\n", ""])
def test_a_colour_has_six_digits(text: str) -> None:
    assert colours.is_colour("#0B5c74")
    assert not colours.is_colour(text)


def test_a_shade_that_can_be_read_stays_and_another_is_mixed_until_it_can() -> None:
    assert colours.readable("#0b5c74", on="#ffffff", towards="#000000") == "#0b5c74"
    darker = colours.readable("#ffd400", on="#ffffff", towards="#000000")
    assert darker == "#8a7200"
    assert 4.5 <= colours.contrast(darker, "#ffffff") < 4.9
    assert colours.readable("#000000", on="#000000", towards="#000000") == "#000000"
