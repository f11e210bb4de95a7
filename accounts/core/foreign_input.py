"""The one door for what others write: names, texts, addresses, instants, quantities, zones, words to search by.

Whatever comes from outside (pages, the desk, webhooks, the API, commands) passes through here before it is kept or
looked for, and comes out in one canonical form or is refused. What is stored and what is searched for go through the
same functions, so what was typed twice is found once.

People are asked again: `name`, `text`, `address` and `instant` raise `ValidationError`, in words for whoever typed.
Marketplaces are not: a name in a message that must not be lost is made fit by `name_told`.
"""

import re
import unicodedata
import zoneinfo
from datetime import UTC, datetime
from functools import cache

import idna
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.translation import gettext_lazy as _

#: Nothing here began before, and no contract, hold or promise reaches beyond: mistyped years are refused, and every
#: instant can be told in every zone.
FIRST_YEAR, LAST_YEAR = 2000, 2099
#: More seats than any customer has; an `integer` of PostgreSQL holds them.
MAX_SEATS = 1_000_000
#: Twenty million, in cents: an `integer` of PostgreSQL holds it.
MAX_CENTS = 2_000_000_000
#: Longer than any UUID, email address or composite key that serves as an id elsewhere.
MAX_EXTERNAL_ID = 200
#: RFC 5321: a path of 256 octets, less its brackets.
MAX_ADDRESS = 254

#: White space of any kind, line breaks too, of which Python knows more than a terminal.
_BLANKS = re.compile(r"\s+")
#: What no screen shows and what turns a line of text round: marks of direction, of joining and of breaking. Joiners
#: that letters of some scripts and pictures need (U+200C, U+200D) stay.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
#: What steers machines: C0 and C1, DEL, and halves of surrogate pairs, which PostgreSQL can't hold.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_CONTROLS_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_BREAKS = re.compile("\r\n|\r|\x85|\u2028|\u2029")
#: `Name <address>`, as mail programs copy it.
_IN_BRACKETS = re.compile(r"<([^<>]*@[^<>]*)>")
#: Letters that are not a letter and its accent to Unicode, as they are written without.
_PLAIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i", "ŧ": "t", "ŋ": "n"}
)
_is_address = EmailValidator()


def name(text: str, *, limit: int) -> str:
    """A name on one line: NFC, single blanks, nothing invisible. Empty stays empty. Raises `ValidationError`.

    Names stand in subjects of mails, lines of logs and cells of sheets, so what steers those is refused.
    """
    if _CONTROLS.search(text):
        raise ValidationError(_("There is a character in it that can't be written down."), code="controls")
    tidy = _tidy(text)
    if len(tidy) > limit:
        raise ValidationError(
            _("This text is too long: %(length)d characters, and there is room for %(limit)d."),
            params={"length": len(tidy), "limit": limit},
            code="max_length",
        )
    return tidy


def name_told(value: object, *, limit: int) -> str:
    """The name that a marketplace told, made fit: what `name` would refuse is left out. Empty for what is no text."""
    return _tidy(_CONTROLS.sub("", value))[:limit].strip() if isinstance(value, str) else ""


def external_id(text: str) -> str | None:
    """The id that the vendor's own system has for something: one line, its capitals kept. None for an empty one.

    Empty ids are not kept: two rows that have none do not have the same. Raises `ValidationError`.
    """
    return name(text, limit=MAX_EXTERNAL_ID) or None


def external_id_or_nothing(text: str) -> str:
    """The canonical id, or nothing for what can't be one: for looking something up."""
    try:
        return external_id(text) or ""
    except ValidationError:
        return ""


def has_controls(text: str) -> bool:
    """Whether something in it steers a terminal, a mail's head or a log."""
    return bool(_CONTROLS.search(text) or _BLANKS.search(text.replace(" ", "")))


def text(value: str, *, limit: int) -> str:
    """A text of several lines: NFC, a line break is one character, no blanks around it. Raises `ValidationError`."""
    tidy = lines(value)
    if _CONTROLS_IN_TEXT.search(tidy):
        raise ValidationError(_("There is a character in it that can't be written down."), code="controls")
    if len(tidy) > limit:
        raise ValidationError(
            _("This text is too long: %(length)d characters, and there is room for %(limit)d."),
            params={"length": len(tidy), "limit": limit},
            code="max_length",
        )
    return tidy


def lines(value: str) -> str:
    """A text as it is counted and kept. Browsers send CR LF for the one character that a person typed."""
    return unicodedata.normalize("NFC", _LINE_BREAKS.sub("\n", value)).strip()


def address(text: str) -> str:
    """A mail address in lower case, its domain as the network writes it (IDNA). Raises `ValidationError`."""
    found = _address_in(text)
    if not found or len(found) > MAX_ADDRESS:
        raise ValidationError(_is_address.message, code="invalid")
    _is_address(found)
    return found


def address_or_nothing(text: str) -> str:
    """The canonical address, or nothing for what is none: for looking somebody up."""
    try:
        return address(text)
    except ValidationError:
        return ""


def address_as_kept(text: str) -> str:
    """The canonical address, or what is none in lower case: for who has to go on with it, or looks somebody up."""
    return address_or_nothing(text) or text.lower()


def _address_in(text: str) -> str:
    """What is probably meant as an address, without what stands around it in a mail or a sentence; maybe nothing."""
    if bracketed := _IN_BRACKETS.search(text):
        text = bracketed[1]
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).strip().strip("\"'‘’“”<>()[],;:.").strip()
    local, at, domain = text.lower().removeprefix("mailto:").rpartition("@")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except UnicodeError:
            return ""
    return f"{local}{at}{domain}"


def beginning_of_address(text: str) -> str:
    """What somebody has typed of an address, in the form in which addresses are kept; maybe half a domain."""
    return _address_in(text) or text.lower().strip()


def instant(at: datetime) -> datetime:
    """An instant in a year that we deal with. Raises `ValidationError`."""
    if not is_within_years(at):
        raise ValidationError(
            _("The year has to be one from %(first)d to %(last)d."),
            params={"first": FIRST_YEAR, "last": LAST_YEAR},
            code="year",
        )
    return at


def is_within_years(at: datetime) -> bool:
    """Whether an instant can be meant, by its own calendar and by that of Greenwich."""
    return FIRST_YEAR <= at.year <= LAST_YEAR and FIRST_YEAR <= at.astimezone(UTC).year <= LAST_YEAR


def instant_in(text: str) -> datetime:
    """An ISO 8601 instant in UTC; without an offset it counts as UTC. Raises `ValidationError`."""
    try:
        at = datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValidationError(
            _("This is no instant. Write one such as 2026-12-01T09:30:00Z."), code="invalid"
        ) from None
    return instant(at)


def quantity(value: object, *, most: int) -> int | None:
    """A count that a message told: a whole number from 0 to `most`, 0 too. None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        return None
    return value


@cache
def zones() -> frozenset[str]:
    """The zones of the IANA database: read once a process, because reading it opens hundreds of files."""
    return frozenset(zoneinfo.available_timezones())


def is_zone(name: str) -> bool:
    """Whether it names a zone of the IANA database."""
    return name in zones()


def zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone of this name. UTC where there is none any more: zone databases drop names now and then."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")


def words(text: str) -> list[str]:
    """The words of a name or of a search, without accents and in one case; each once, in their order.

    A name without letters and digits has its signs for words, so that it can be found, too.
    """
    return list(dict.fromkeys(_plain_words(text)))


def key(text: str) -> str:
    """A reference or an order number as it is compared: its letters and digits, in capitals."""
    return "".join(_plain_words(text)).upper()


def _plain_words(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", _tidy(_CONTROLS.sub("", text)).casefold())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_PLAIN)
    found = re.findall(r"[^\W_]+", plain) or plain.split()
    return [unicodedata.normalize("NFC", word) for word in found]


def _tidy(text: str) -> str:
    """NFC, one blank where there was white space of any kind, nothing invisible, nothing around it."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()  # as nearly all are
    return _BLANKS.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", _BLANKS.sub(" ", text)))).strip()
