"""Sheets: exact values for machines, and nothing that a spreadsheet would take for a formula."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.desk.dashboard import csv_sheets
from accounts.desk.dashboard.figures import Choice, FigureProgress, Link, Value


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\u00a0=1",
        "\u200b=1",
        "\ufeff=1",
        '"=1',
        "'=1",
        "＝1",
        "|calc",
        "%0A-1",
        "\t",
    ],
)
def test_what_a_spreadsheet_could_take_for_a_formula_is_guarded(text: str) -> None:
    assert csv_sheets.cell(text) == "'" + text
    assert csv_sheets.cell(Link(text, "/")) == "'" + text
    assert csv_sheets.cell(Choice(text, "label")) == "'" + text


@pytest.mark.parametrize("text", ["", "plain", "a=b", "1-2", "me@example.org", "“=1”", "2026-03-17"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert csv_sheets.cell(text) == text


@given(st.text(alphabet=st.sampled_from(" \t\r\n=+-@'\"a\u00a0\u200b＝,;"), max_size=8))
def test_no_text_begins_a_formula_whatever_stands_before_it(text: str) -> None:
    written = "".join(csv_sheets.written(["text"], [(text,)]))
    ((read,),) = list(csv.reader(io.StringIO(written, newline="")))[1:] or [[""]]
    assert read.removeprefix("'") in (text, text.removeprefix("'"))
    assert not read.lstrip(' \t\r\n\u00a0\u200b"').startswith(("=", "+", "-", "@", "＝")), repr(read)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (-5, "-5"),
        (12.5, "12.5"),
        (datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Paris")), "2026-03-29T01:30:00Z"),
        (datetime(2026, 3, 17, 9, 30, 5, 999, tzinfo=UTC), "2026-03-17T09:30:05Z"),
        (date(2026, 3, 16), "2026-03-16"),
        (timedelta(hours=1, milliseconds=400), "3600"),
        (FigureProgress(3, 8), "3 of 8"),
        (Choice("direct", "Direct"), "direct"),
        (Link("Harbour", "/admin/"), "Harbour"),
    ],
)
def test_values_are_written_for_machines(value: Value, written: str) -> None:
    assert csv_sheets.cell(value) == written


def test_a_sheet_is_read_back_as_it_was() -> None:
    rows = [('Müller, "Sons"', 1, None), ("two\nlines", 2, None)]
    text = "".join(csv_sheets.written(["name", "count", "nothing"], rows))
    assert list(csv.reader(text.splitlines(keepends=True))) == [
        ["name", "count", "nothing"],
        ['Müller, "Sons"', "1", ""],
        ["two\nlines", "2", ""],
    ]


def test_a_sheet_is_downloaded_and_never_shown_or_stored() -> None:
    response = csv_sheets.download("ends-2026-03-17", ["week"], [("=1",)])
    # UTF-8's byte order mark comes first: without it Excel reads the sheet as another encoding.
    assert response.getvalue() == b"\xef\xbb\xbfweek\r\n'=1\r\n"
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="ends-2026-03-17.csv"'
    assert (response["X-Content-Type-Options"], response["Cache-Control"]) == ("nosniff", "no-store")
