"""Drawing a blueprint as SVG, on the server: no script, and nothing that a Content-Security-Policy must allow."""

from itertools import islice
from typing import Any
from xml.sax.saxutils import escape

from accounts.blueprints.components import MAX_COMPONENTS, MAX_LINKS

#: One grid cell, in the picture's own units.
CELL = 40
#: Blocks are drawn on a plane seen from above at an angle: half as deep as wide.
DEPTH = CELL // 2
#: Room for a block and its label around the outermost places.
MARGIN = CELL * 3 // 2

_HUES = {"ec2": "compute", "lambda": "compute", "vm": "compute", "rds": "data", "s3": "data", "sql": "data"}


def draw(components: list[dict[str, Any]]) -> str:
    """A picture of the components and their links. Colours are the picture's own, readable on light and dark.

    Of more than may be stored today (an older blueprint) the first are drawn: a picture is as large as a page can show.
    """
    components = components[:MAX_COMPONENTS]
    places = {item["id"]: _place(item["x"], item["y"]) for item in components}
    xs = [x for x, _ in places.values()] or [0]
    ys = [y for _, y in places.values()] or [0]
    left, top = min(xs) - MARGIN, min(ys) - MARGIN
    width, height = max(xs) - left + MARGIN, max(ys) - top + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {width} {height}">',
    ]
    links = ((item["id"], link) for item in components for link in item.get("links", []) if link in places)
    for start, end in islice(links, MAX_LINKS):
        (x1, y1), (x2, y2) = places[start], places[end]
        parts.append(f'<path d="M{x1} {y1}L{x2} {y2}" stroke="#8b93a7" stroke-width="2" fill="none"/>')
    for item in sorted(components, key=lambda item: (item["x"] + item["y"], item["id"])):
        parts.append(_block(item, *places[item["id"]]))
    parts.append("</svg>")
    return "".join(parts)


def _place(x: int, y: int) -> tuple[int, int]:
    return (x - y) * CELL, (x + y) * DEPTH


def _block(item: dict[str, Any], x: int, y: int) -> str:
    top, left, right = {
        "compute": ("#f2a65a", "#c97b2f", "#dd8f41"),
        "data": ("#6ea8fe", "#3c6fc4", "#4f86df"),
    }.get(_HUES.get(item["type"], ""), ("#7fd1ae", "#3f9a75", "#57b38d"))
    w, d, h = CELL * 3 // 4, DEPTH * 3 // 4, CELL // 2
    label = escape(item["label"])
    return (
        f"<g><title>{label}</title>"
        f'<path d="M{x} {y - h - d}l{w} {d}l{-w} {d}l{-w} {-d}z" fill="{top}"/>'
        f'<path d="M{x - w} {y - h}l{w} {d}v{h}l{-w} {-d}z" fill="{left}"/>'
        f'<path d="M{x + w} {y - h}l{-w} {d}v{h}l{w} {-d}z" fill="{right}"/>'
        f'<text x="{x}" y="{y + h + 4}" text-anchor="middle" font-family="sans-serif" font-size="11" '
        f'fill="#667085">{label}</text></g>'
    )
