"""Files as people have them: of other programs, of other countries, cut off, very long."""

import tracemalloc
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account
from subscriptions.imports.files import MAX_LINE, lines
from subscriptions.imports.shapes import COLUMNS
from tests.subscriptions.imports.importing import csv_file, json_lines, row, run

pytestmark = pytest.mark.django_db


def names() -> set[str]:
    return set(Account.objects.values_list("name", flat=True))


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_and_without_a_mark(kind: str, encoding: str, tmp_path: Path) -> None:
    make = json_lines if kind == "jsonl" else csv_file
    file = make(tmp_path / f"a.{kind}", [row(1, name="Ångström & Söhne")])
    file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    assert run(file).outcomes == ["created"]
    assert names() == {"Ångström & Söhne"}


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_line_in_another_encoding_is_refused_with_its_number_and_the_others_are_imported(
    kind: str, tmp_path: Path
) -> None:
    make = json_lines if kind == "jsonl" else csv_file
    file = make(tmp_path / f"a.{kind}", [row(1), row(2, name="Söhne"), row(3)])
    file.write_bytes(file.read_text(encoding="utf-8").encode("latin-1"))
    imported = run(file)
    assert (imported.code, imported.codes) == (1, ["", "encoding", ""])
    assert imported.report[1]["number"] == (2 if kind == "jsonl" else 3)
    assert "Save the file as UTF-8" in imported.report[1]["text"]
    assert names() == {"Harbour 1", "Harbour 3"}


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_another_encoding_altogether_is_refused_as_one(kind: str, encoding: str, tmp_path: Path) -> None:
    make = json_lines if kind == "jsonl" else csv_file
    file = make(tmp_path / f"a.{kind}", [row(1)])
    file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    with pytest.raises(CommandError, match=r"Line 1: .*Save it as UTF-8"):
        run(file)
    assert names() == set()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_file_cut_off_within_a_line_is_imported_up_to_there_and_goes_on_when_whole(kind: str, tmp_path: Path) -> None:
    make = json_lines if kind == "jsonl" else csv_file
    file = make(tmp_path / f"a.{kind}", [row(number, name=f'Harbour, "{number}"') for number in (1, 2, 3)])
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b"Harbour, ") + 12])
    cut = run(file)
    assert (cut.code, cut.outcomes) == (1, ["created", "created", "refused"])
    assert cut.codes[2] == ("json" if kind == "jsonl" else "quoting")
    file.write_bytes(whole)
    assert run(file).outcomes == ["unchanged", "unchanged", "created"]


def test_cells_hold_commas_quotation_marks_and_line_breaks(tmp_path: Path) -> None:
    rows = [row(1, name='Kiel, "Sønder"\nKai'), row(2)]
    imported = run(csv_file(tmp_path / "a.csv", rows))
    assert imported.outcomes == ["created", "created"]
    # The number is that of a row's first line.
    assert [line["number"] for line in imported.report] == [2, 4]
    assert names() == {'Kiel, "Sønder" Kai', "Harbour 2"}


def test_a_quotation_mark_left_open_costs_the_rows_that_it_swallows_and_no_more(tmp_path: Path) -> None:
    file = csv_file(tmp_path / "a.csv", [row(number) for number in range(1, 2001)])
    file.write_text(file.read_text().replace("Harbour 3,", '"Harbour 3,', 1), newline="")
    imported = run(file)
    assert imported.codes[:3] == ["", "", "quoting"]
    assert imported.outcomes.count("created") > 500
    assert Account.objects.filter(external_id="cus_2000").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("owner.email", "owner.mail", "1 of its 8 columns are not known (the first is column 3)"),
        ("subscription.plan", "owner.email", "two columns have the same name"),
        ("external_id,name", "external_id,Ναme", "1 of its 8 columns are not known (the first is column 2)"),
    ],
)
def test_a_csv_file_with_other_columns_is_refused_before_anything_is_imported(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    file = csv_file(tmp_path / "a.csv", [row(1)])
    file.write_text(file.read_text().replace(old, new, 1), encoding="utf-8", newline="")
    with pytest.raises(CommandError) as error:
        run(file)
    assert told in str(error.value)
    assert names() == set()


def test_a_row_with_too_many_or_too_few_cells_is_refused(tmp_path: Path) -> None:
    file = csv_file(tmp_path / "a.csv", [row(1), row(2), row(3)])
    first, one, two, three = file.read_text().splitlines()
    file.write_text("\n".join([first, one + ",", two, three.rpartition(",")[0], "", ",,,,,,,"]))
    imported = run(file)
    assert imported.codes == ["cells", "", "cells"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_line_without_end_is_refused_and_takes_no_memory(kind: str, tmp_path: Path) -> None:
    make = json_lines if kind == "jsonl" else csv_file
    file = make(tmp_path / f"a.{kind}", [row(1)])
    whole = file.read_bytes()
    with file.open("ab") as more:
        more.write(b"x" * (20 * MAX_LINE) + b"\n")
        more.write(whole.splitlines(keepends=True)[-1].replace(b"cus_1", b"cus_2").replace(b"sub_1", b"sub_2"))
    tracemalloc.start()
    found = [(line.number, line.refusal and line.refusal.code) for line in lines(file, COLUMNS)]
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    first = 1 if kind == "jsonl" else 2
    assert found == [(first, None), (first + 1, "too_long"), (first + 2, None)]
    assert peak < 6 * MAX_LINE


def test_a_hundred_thousand_lines_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(b'{"external_id": "cus_%d"}\n' % number for number in range(100_000)))
    tracemalloc.start()
    count = sum(1 for _line in lines(file, COLUMNS))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 300_000


@pytest.mark.parametrize("text", ["[1, 2]", "null", '"cus_1"', "{", '{"name": NaN}', "[" * 100_000, '{"a": "\\ud800"}'])
def test_a_line_that_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(f"{text}\n\n  \n")
    assert run(file).codes == ["json"]


def test_a_report_never_overwrites_the_file_and_a_file_has_to_be_there(tmp_path: Path) -> None:
    file = json_lines(tmp_path / "a.jsonl", [row(1)])
    for arguments, told in (
        ([str(file), f"--report={file}"], "overwrite the file itself"),
        ([str(tmp_path / "b.jsonl")], "No such file"),
        ([str(tmp_path / "b.xlsx")], "JSON lines or CSV"),
        ([str(file), "--limit=0"], "1 or more"),
        ([str(file), f"--report={tmp_path}"], "can't be written"),
    ):
        with pytest.raises(CommandError, match=told):
            call_command("import_accounts", *arguments)
    assert names() == set()
