"""Charts: well-formed, exact, readable without colour, and nothing in them that a strict policy would refuse."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.utils.safestring import SafeString

from accounts.desk.dashboard import svg_charts
from accounts.desk.dashboard.svg_charts import Bar, ChartWords, Series, Span

SVG = "{http://www.w3.org/2000/svg}"
WORDS = ChartWords("ends", "Ends <by> week", 'Five & "more"')
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def parsed(drawing: SafeString) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)  # noqa: S314  # our own drawing


def heights(root: ElementTree.Element, kind: str) -> list[float]:
    return [float(rect.attrib["height"]) for rect in root.iter(f"{SVG}rect") if rect.get("class") == kind]


def widths(root: ElementTree.Element, kind: str) -> list[float]:
    return [float(rect.attrib["width"]) for rect in root.iter(f"{SVG}rect") if rect.get("class") == kind]


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text") if text.get("class") == kind]


def told(root: ElementTree.Element) -> list[str]:
    """What each part says when it is pointed at."""
    return [title.text or "" for group in root.iter(f"{SVG}g") for title in group.iter(f"{SVG}title")]


EVERY_KIND = {
    "stacked": svg_charts.stacked(WORDS, ["Mar 9", "Mar 16"], [Series("<b>", [1, 2]), Series("Sales", [0, 4])]),
    "columns": svg_charts.columns(WORDS, [Bar("0–1 h", 3, "3"), Bar("missed", 1, "1", is_bad=True)]),
    "rows": svg_charts.rows(WORDS, [Bar("Too & <expensive>", 7, "7")]),
    "spans": svg_charts.spans(WORDS, [Span("Tokens", MINUTE, DAY, "1 min")], ["1 min", "1 hr", "1 day", "30 days"]),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_chart_is_a_picture_with_a_name_and_a_description(kind: str) -> None:
    root = parsed(EVERY_KIND[kind])
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "ends-title ends-description"
    title, description = root[0], root[1]
    assert (title.attrib["id"], title.text) == ("ends-title", "Ends <by> week")
    assert (description.attrib["id"], description.text) == ("ends-description", 'Five & "more"')


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_chart_has_neither_style_nor_script_nor_anything_from_elsewhere(kind: str) -> None:
    drawing = EVERY_KIND[kind]
    assert not re.search(r"style|<script|\son\w+=|href|javascript:", drawing)
    assert set(re.findall(r"url\(([^)]*)\)", drawing)) <= {f"#ends-pattern-{number}" for number in (1, 2, 3)}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_nothing_lies_outside_of_the_picture(kind: str) -> None:
    root = parsed(EVERY_KIND[kind])
    _left, _top, width, height = (float(number) for number in root.attrib["viewBox"].split())
    for rect in root.iter(f"{SVG}rect"):
        assert 0 <= float(rect.attrib["x"]) <= float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width
        assert 0 <= float(rect.attrib["y"]) <= float(rect.attrib["y"]) + float(rect.attrib["height"]) <= height


def test_the_parts_of_a_column_are_as_high_as_their_numbers() -> None:
    drawing = svg_charts.stacked(WORDS, ["a", "b"], [Series("Direct", [10, 5]), Series("Sales", [0, 5])])
    root = parsed(drawing)
    assert heights(root, "chart-series-1")[:2] == [168, 84]
    assert heights(root, "chart-series-2")[:1] == [84]
    assert texts(root, "chart-number") == ["10", "10"]
    assert told(root) == ["a, Direct: 10", "b, Direct: 5", "b, Sales: 5", "Direct", "Sales"]


def test_parts_are_told_apart_by_patterns_and_a_legend_and_those_without_numbers_are_left_out() -> None:
    series = [Series("Direct", [1]), Series("Sales", [0]), Series("AWS", [2]), Series("GitHub", [3])]
    root = parsed(svg_charts.stacked(WORDS, ["a"], series))
    fills = [rect.attrib["fill"] for rect in root.iter(f"{SVG}rect") if "fill" in rect.attrib]
    assert sorted(set(fills)) == ["url(#ends-pattern-2)", "url(#ends-pattern-3)"]
    assert [label for label in texts(root, "chart-label") if not label.isdigit()] == ["a", "Direct", "AWS", "GitHub"]


def test_a_long_legend_goes_on_in_the_next_line() -> None:
    one = parsed(svg_charts.stacked(WORDS, ["a"], [Series("short", [1])]))
    two = parsed(svg_charts.stacked(WORDS, ["a"], [Series("a rather long label " * 2, [1])] * 4))
    assert float(two.attrib["viewBox"].split()[3]) > float(one.attrib["viewBox"].split()[3])


def test_every_second_label_is_written_and_the_last_one_always() -> None:
    labels = [str(number) + "." for number in range(13)]
    root = parsed(svg_charts.stacked(WORDS, labels, [Series("Direct", [1] * 13)]))
    assert [label for label in texts(root, "chart-label") if label.endswith(".")] == labels[::2]


def test_a_column_that_should_not_be_is_marked_by_more_than_its_colour() -> None:
    root = parsed(
        svg_charts.columns(WORDS, [Bar("missed", 1, "1", is_bad=True), Bar("0–1 h", 4, "4")], every_label=True)
    )
    assert heights(root, "chart-bad") == [42]
    assert heights(root, "chart-series-1") == [168]
    assert "url(#ends-pattern-1)" in {rect.get("fill") for rect in root.iter(f"{SVG}rect")}
    assert told(root) == ["missed: 1", "0–1 h: 4"]


def test_an_axis_may_end_where_it_is_known_to_end() -> None:
    root = parsed(svg_charts.columns(WORDS, [Bar("a", 25, "25%"), Bar("b", 0, "")], highest=100))
    assert heights(root, "chart-series-1") == [42]
    assert texts(root, "chart-label")[:3] == ["0", "50", "100"]


def test_horizontal_bars_are_as_long_as_their_numbers() -> None:
    root = parsed(svg_charts.rows(WORDS, [Bar("a", 8, "8"), Bar("b", 2, "2")]))
    assert widths(root, "chart-series-1") == [628, 157]
    assert texts(root, "chart-number") == ["8", "2"]


def test_a_span_ends_at_nine_in_ten_and_is_marked_at_the_median() -> None:
    spans = [Span("At once", timedelta(0), timedelta(0), ""), Span("Long", DAY, timedelta(days=90), "")]
    root = parsed(svg_charts.spans(WORDS, spans, ["1 min", "1 hr", "1 day", "30 days"]))
    assert widths(root, "chart-series-1") == [2, 628]
    marks = [float(line.attrib["x1"]) for line in root.iter(f"{SVG}line") if line.get("class") == "chart-median"]
    day = next(float(t.attrib["x"]) for t in root.iter(f"{SVG}text") if t.text == "1 day")
    assert marks == [1.5, day]


@pytest.mark.parametrize(
    ("highest", "axis"),
    [
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 4),
        (5, 6),
        (7, 8),
        (9, 10),
        (10, 10),
        (11, 20),
        (41, 60),
        (99, 100),
        (101, 200),
        (8001, 10_000),
    ],
)
def test_an_axis_ends_at_a_number_that_reads_well(highest: int, axis: int) -> None:
    root = parsed(svg_charts.columns(WORDS, [Bar("a", highest, "")]))
    numbers = texts(root, "chart-label")
    assert numbers[0] == "0"
    assert numbers[-2 if axis else -1] == str(axis)
