"""The brand: in whose name pages and mails speak. The vendor's, from the settings; nobody else's appears to customers.

`current()` is what everybody asks: pages have it as `brand` (`accounts.context_processors.brand`), mails too
(`accounts.mail.writing`), code calls it. Settings are checked when the server starts (`config.environment`), so what
is here can be shown as it is.
"""

from dataclasses import dataclass

from django.conf import settings

from accounts.core import colours

#: Longer names fit on no phone, and in no authenticator's list.
MAX_NAME = 60


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
