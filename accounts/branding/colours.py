"""Colours as the eye compares them: contrast by WCAG 2.2, and the nearest shade that can be read.

A colour is `#rrggbb`. Contrast goes from 1 (none) to 21 (black on white); text needs 4.5, an outline 3
(https://www.w3.org/TR/WCAG22/#contrast-minimum).
"""

import re
from functools import lru_cache

WHITE, BLACK = "#ffffff", "#000000"
#: What text of ordinary size needs (WCAG 2.2, 1.4.3, level AA).
FOR_TEXT = 4.5

_HEX = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
#: How finely a shade is looked for: fifty steps from the colour to black or white.
_STEPS = 50


def is_colour(text: str) -> bool:
    return bool(_HEX.fullmatch(text))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@lru_cache(maxsize=64)
def readable(colour: str, *, on: str, towards: str, at_least: float = FOR_TEXT) -> str:
    """The colour itself if it can be read on `on`; else the nearest mixture with `towards` that can.

    Remembered: every page names the version of its style, which is made of these.
    """
    for step in range(_STEPS):
        mixed = mix(colour, towards, step / _STEPS)
        if contrast(mixed, on) >= at_least:
            return mixed
    return towards


def mix(colour: str, other: str, share: float) -> str:
    """The colour with so large a share (0 to 1) of the other one in it."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
