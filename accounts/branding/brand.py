"""The brand: in whose name pages and mails speak. The vendor's, from the settings; nobody else's appears to customers.

`current()` is what everybody asks: pages have it as `brand` (`accounts.context_processors.brand`), mails too
(`accounts.branding.letter`), code calls it. Settings are checked when the server starts (`config.environment`), so what
is here can be shown as it is.
"""

import hashlib
from dataclasses import astuple, dataclass

from django.conf import settings

from accounts.branding import colours

#: Longer names fit on no phone, and in no authenticator's list.
MAX_NAME = 60
#: What the brand's colours lie on in the dark (`static/pages.css`: cards and pages).
DARK_CARD, DARK_PAGE = "#17212c", "#0e151d"
#: Links are read on white and on pale tints; what has this contrast with white has 4.5 with each of them. In the dark
#: the same is true of what has this contrast with a card.
LINK, IN_THE_DARK = 5.8, 7.0
#: Counted up when the templates of the brand's files (`templates/brand/`) change.
FILES = 1


@dataclass(frozen=True)
class Palette:
    """The brand's colours on light or on dark pages."""

    #: Buttons, and what is marked; it can be read as text on a card, too. What is written on it.
    fill: str
    on_fill: str
    link: str
    #: What is told apart from the page by a shade of the brand, and the line around it.
    tint: str
    line: str


@dataclass(frozen=True)
class Brand:
    """The vendor, as customers know it."""

    #: `BRAND_NAME`: in titles, heads and feet of pages and mails, in authenticators, in exports.
    name: str
    #: `BRAND_URL`: the vendor's own site; or where this one is served.
    url: str
    #: `BRAND_COLOUR`, `#rrggbb`: dark enough for white text on it, and for text of it on white.
    colour: str
    #: `SUPPORT_EMAIL`: where people write, and where answers to our mails go.
    support_email: str
    #: `BUY_URL`: where people buy and come back. Empty: nowhere, and no page or mail speaks of it.
    buy_url: str

    @property
    def initial(self) -> str:
        """What stands on the mark: the first letter or digit of the name."""
        return next((letter for letter in self.name if letter.isalnum()), self.name[:1]).upper()

    @property
    def light(self) -> Palette:
        return Palette(
            fill=self.colour,
            on_fill=colours.WHITE,
            link=colours.readable(self.colour, on=colours.WHITE, towards=colours.BLACK, at_least=LINK),
            tint=colours.mix(colours.WHITE, self.colour, 0.09),
            line=colours.mix(colours.WHITE, self.colour, 0.4),
        )

    @property
    def dark(self) -> Palette:
        pale = colours.readable(self.colour, on=DARK_CARD, towards=colours.WHITE, at_least=IN_THE_DARK)
        return Palette(
            fill=pale,
            on_fill=DARK_PAGE,
            link=pale,
            tint=colours.mix(DARK_CARD, pale, 0.12),
            line=colours.mix(DARK_CARD, pale, 0.4),
        )

    @property
    def version(self) -> str:
        """Changes with whatever its files show: browsers keep those by it."""
        shown = (FILES, self.initial, self.colour, astuple(self.light), astuple(self.dark))
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:12]


def current() -> Brand:
    """The brand of this installation."""
    return Brand(
        name=settings.BRAND_NAME,
        url=settings.BRAND_URL,
        colour=settings.BRAND_COLOUR,
        support_email=settings.SUPPORT_EMAIL,
        buy_url=settings.BUY_URL,
    )


def colour_problem(colour: str) -> str:
    """What is wrong with a `BRAND_COLOUR`, in a sentence that says what to take instead; empty for a good one."""
    if not colours.is_colour(colour):
        return f"BRAND_COLOUR must be a colour such as #0b5c74, not {colour!r}."
    found = colours.contrast(colour, colours.WHITE)
    if found < colours.FOR_TEXT:
        darker = colours.readable(colour, on=colours.WHITE, towards=colours.BLACK)
        return (
            f"BRAND_COLOUR: {colour} can't be read on white: its contrast is {found:.1f}, and text needs "
            f"{colours.FOR_TEXT}. The nearest shade that can be read is {darker}."
        )
    return ""
