"""One table of odd inputs: what may come in at a door, and what is kept of it. `None`: refused, and nothing is kept."""

from typing import Any

NFD, NFC = "Jose\u0301 Ångström", "José Ångström"

#: As somebody types or pastes a name: kept, or refused.
NAMES: dict[str, tuple[str, str | None]] = {
    "plain": ("Harbour & Sons GmbH", "Harbour & Sons GmbH"),
    "blanks": ("  Blau   Himmel ", "Blau Himmel"),
    "vertical tab": ("Blau\x0bHimmel", "Blau Himmel"),
    "line break": ("Blau\r\nHimmel", "Blau Himmel"),
    "carriage return": ("Blau\rBcc: all@example.org", "Blau Bcc: all@example.org"),
    "tab": ("Blau\tHimmel", "Blau Himmel"),
    "form feed": ("Blau\x0cHimmel", "Blau Himmel"),
    "next line": ("Blau\x85Himmel", "Blau Himmel"),
    "line separator": ("Blau\u2028Himmel", "Blau Himmel"),
    "no-break space": ("Blau\xa0Himmel", "Blau Himmel"),
    "decomposed": (NFD, NFC),
    "turned round": ("\u202eevil\u202c", "evil"),
    "byte order mark": ("\ufeffHarbour", "Harbour"),
    "zero width": ("Har\u200bbour", "Harbour"),
    "picture": ("🚢 Harbour 👩\u200d🚀", "🚢 Harbour 👩\u200d🚀"),
    "other alphabets": ("株式会社 ООО شركة", "株式会社 ООО شركة"),
    "markup": ("<b>{{ x }}</b> %s", "<b>{{ x }}</b> %s"),
    "NUL": ("Blau\x00Himmel", None),
    "escape": ("\x1b[31mHarbour", None),
    "bell": ("Harbour\x07", None),
    "delete": ("Harb\x7four", None),
    "C1": ("Harb\x9bour", None),
    "nothing visible": ("\u200b\u202e \t", None),
    "too long": ("x" * 201, None),
}

#: As a marketplace tells a name: always kept, made fit. What `NAMES` keeps is kept as it is there.
TOLD: dict[str, tuple[str, str]] = {
    **{name: (given, kept) for name, (given, kept) in NAMES.items() if kept is not None},
    "escape": ("\x1b[31mHarbour", "[31mHarbour"),
    "bell": ("Harbour\x07", "Harbour"),
    "delete": ("Harb\x7four", "Harbour"),
    "C1": ("Harb\x9bour", "Harbour"),
    "too long": ("x" * 300, "x" * 200),
}

#: Texts of several lines. `{fill}` stands for as many letters as fill the door up to its limit.
TEXTS: dict[str, tuple[str, str | None]] = {
    "plain": ("Hello", "Hello"),
    "two lines": ("Hello,\r\nworld", "Hello,\nworld"),
    "old Macintosh": ("Hello,\rworld", "Hello,\nworld"),
    "full, with a line break": ("{fill}\r\nz", "{fill}\nz"),
    "one too many": ("{fill}\r\nzz", None),
    "tab": ("a\tb", "a\tb"),
    "around": (" \r\n Hello \r\n", "Hello"),
    "decomposed": (NFD, NFC),
    "separators": ("a\u2028b\u2029c", "a\nb\nc"),
    "NUL": ("a\x00b", None),
    "vertical tab": ("a\x0bb", None),
    "escape": ("\x1b[2J", None),
    "C1": ("a\x9bb", None),
}

ADDRESSES: dict[str, tuple[str, str | None]] = {
    "plain": ("new@example.org", "new@example.org"),
    "capitals": ("New.Owner@Example.ORG", "new.owner@example.org"),
    "with a name": ("New Owner <new@example.org>", "new@example.org"),
    "end of a sentence": ("new@example.org.", "new@example.org"),
    "mailto": ("mailto:new@example.org", "new@example.org"),
    "pasted from a mail program": ("\u202anew@example.org\u202c", "new@example.org"),
    "umlaut": ("ida@Bücher.example", "ida@xn--bcher-kva.example"),
    "decomposed umlaut": ("ida@bu\u0308cher.example", "ida@xn--bcher-kva.example"),
    "written for the network": ("ida@XN--bcher-kva.example", "ida@xn--bcher-kva.example"),
    "full width": ("new＠example．org", "new@example.org"),
    "no domain": ("new@", None),
    "no name": ("@example.org", None),
    "two signs": ("a@b@example.org", None),
    "blank inside": ("ne w@example.org", None),
    "line break inside": ("new@exam\r\nple.org", None),
    "letters of no mail server": ("josé@example.org", None),
    "label that is too long": (f"new@{'b' * 64}.org", None),
    "label that IDNA refuses": (f"new@{'é' * 70}.org", None),
    "label of nothing": ("new@\u00ad.org", None),
    "label that begins with a hyphen": ("new@-b.org", None),
    "empty label": ("new@b..org", None),
    "a bidirectional mix": ("new@aא1.org", None),
    "too long": (f"{'n' * 64}@{'.'.join(['b' * 60] * 4)}.org", None),
    "no address": ("Harbour", None),
}

#: As somebody types a day and a time, in UTC.
INSTANTS: dict[str, tuple[str, str, str | None]] = {
    "plain": ("2027-12-01", "09:30", "2027-12-01T09:30:00+00:00"),
    "last of all": ("2099-12-31", "23:59:59", "2099-12-31T23:59:59+00:00"),
    "a year beyond": ("2100-01-01", "00:00", None),
    "the end of the calendar": ("9999-12-31", "23:59:59", None),
    "its beginning": ("0001-01-01", "00:00", None),
    "before anybody sold anything": ("1999-12-31", "23:59", None),
    "no such day": ("2027-02-30", "09:30", None),
    "no such hour": ("2027-12-01", "25:00", None),
    "no day": ("", "09:30", None),
    "five digits": ("20271-01-01", "09:30", None),
    "words": ("tomorrow", "noon", None),
    "NUL": ("2027-12-01\x00", "09:30", None),
}

#: As a marketplace tells an instant.
TOLD_INSTANTS: dict[str, tuple[Any, str | None]] = {
    "Z": ("2027-12-01T09:30:00Z", "2027-12-01T09:30:00+00:00"),
    "offset": ("2027-12-01T09:30:00+02:00", "2027-12-01T07:30:00+00:00"),
    "fraction": ("2027-12-01T09:30:00.125Z", "2027-12-01T09:30:00.125000+00:00"),
    "no offset": ("2027-12-01T09:30:00", "2027-12-01T09:30:00+00:00"),
    "the end of the calendar": ("9999-12-31T23:59:59Z", None),
    "beyond it": ("9999-12-31T23:59:59-23:59", None),
    "before it": ("0001-01-01T00:00:00+23:59", None),
    "no such day": ("2027-02-30T00:00:00Z", None),
    "number": (1_900_000_000, None),
    "list": ([], None),
    "words": ("soon", None),
    "nothing": ("", None),
}

#: As somebody types a number of seats.
SEATS: dict[str, tuple[str, int | None]] = {
    "one": ("1", 1),
    "blanks": (" 40 ", 40),
    "the most": ("1000000", 1_000_000),
    "one more": ("1000001", None),
    "zero": ("0", None),
    "below": ("-1", None),
    "half": ("1.5", None),
    "beyond an integer": ("2147483648", None),
    "beyond everything": ("9" * 5000, None),
    "no number": ("NaN", None),
    "exponent": ("1e3", None),
    "NUL": ("1\x00", None),
    "nothing": ("", None),
}

LIST_PRICE = -1
#: As somebody types a price, in cents; nothing typed is the list price, and zero is zero.
PRICES: dict[str, tuple[str, int | None]] = {
    "plain": ("490.00", 49_000),
    "zero": ("0", 0),
    "zero again": ("0.00", 0),
    "below zero, and yet zero": ("-0", 0),
    "nothing": ("", LIST_PRICE),
    "below": ("-0.01", None),
    "the most": ("20000000", 2_000_000_000),
    "a cent more": ("20000000.01", None),
    "beyond an integer": ("99999999.99", None),
    "tenth of a cent": ("0.001", None),
    "no number": ("NaN", None),
    "no end": ("Infinity", None),
    "exponent": ("1e99", None),
    "words": ("free", None),
}

#: As GitHub tells a number of seats: always at least one.
TOLD_SEATS: dict[str, tuple[Any, int]] = {
    "five": (5, 5),
    "none for a flat plan": (None, 1),
    "zero": (0, 1),
    "below": (-3, 1),
    "half": (1.5, 1),
    "text": ("5", 1),
    "true": (True, 1),
    "many": (2_000_000, 1_000_000),
    "beyond an integer": (2**31, 1),
    "beyond everything": (10**400, 1),
}

#: As a message names a row of GitHub's: kept, or the message can't be carried out.
IDS: dict[str, tuple[Any, int | None]] = {
    "plain": (18_404_719, 18_404_719),
    "the largest": (2**63 - 1, 2**63 - 1),
    "one more": (2**63, None),
    "zero": (0, None),
    "below": (-1, None),
    "fraction": (1.5, None),
    "text": ("18404719", None),
    "true": (True, None),
    "nothing": (None, None),
    "list": ([1], None),
}

ZONES: dict[str, tuple[str, str | None]] = {
    "plain": ("Europe/Paris", "Europe/Paris"),
    "UTC": ("UTC", "UTC"),
    "dropped": ("US/Pacific-New", None),
    "unknown": ("Mars/Olympus", None),
    "path": ("../UTC", None),
    "absolute": ("/etc/localtime", None),
    "NUL": ("UTC\x00", None),
    "long": ("x" * 300, None),
    "offset": ("+02:00", None),
    "nothing": ("", ""),
}
