"""What a blueprint's components and a connection's resources look like, and how a wrong one is refused."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.core import foreign_input

#: A blueprint larger than this could not be drawn in a page.
MAX_COMPONENTS = 2000
#: Each is a line in the drawing.
MAX_LINKS = 5000
MAX_RESOURCES = 10_000
#: Coordinates are grid cells; the bound keeps the drawing finite.
MAX_COORDINATE = 100_000
_TEXT = 200


def validate_components(value: Any) -> list[dict[str, Any]]:
    """`value` as a list of components. Raises `ValidationError` naming the first thing that is wrong."""
    items = _objects(value, MAX_COMPONENTS)
    seen: set[str] = set()
    links_in_all = 0
    for number, item in enumerate(items, start=1):
        for key in ("id", "type", "label"):
            _text(item, key, number)
        for key in ("x", "y"):
            coordinate = item.get(key)
            if isinstance(coordinate, bool) or not isinstance(coordinate, int) or abs(coordinate) > MAX_COORDINATE:
                raise ValidationError(
                    _("Item %(number)s: “%(key)s” must be a whole number between -%(most)s and %(most)s."),
                    params={"number": number, "key": key, "most": MAX_COORDINATE},
                )
        links = item.get("links", [])
        if not isinstance(links, list) or not all(isinstance(link, str) for link in links):
            raise ValidationError(
                _("Item %(number)s: “%(key)s” must be a list of ids."), params={"number": number, "key": "links"}
            )
        links_in_all += len(links)
        if links_in_all > MAX_LINKS:
            raise ValidationError(_("At most %(most)s links are allowed."), params={"most": MAX_LINKS})
        if any(len(link) > _TEXT for link in links):
            raise ValidationError(
                _("Item %(number)s: an id in “%(key)s” may have at most %(most)s characters."),
                params={"number": number, "key": "links", "most": _TEXT},
            )
        if item["id"] in seen:
            raise ValidationError(
                _("Item %(number)s: the id “%(id)s” is taken."), params={"number": number, "id": item["id"]}
            )
        seen.add(item["id"])
    return items


def validate_resources(value: Any) -> list[dict[str, Any]]:
    """`value` as a list of cloud resources. Raises `ValidationError` naming the first thing that is wrong."""
    items = _objects(value, MAX_RESOURCES)
    for number, item in enumerate(items, start=1):
        for key in ("id", "type", "name", "region"):
            _text(item, key, number)
    return items


def _objects(value: Any, most: int) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValidationError(_("A list of objects is expected."))
    if len(value) > most:
        raise ValidationError(_("At most %(most)s items are allowed."), params={"most": most})
    return value


def _text(item: dict[str, Any], key: str, number: int) -> None:
    """Make the text canonical in its place. An id stays as it came: others refer to it."""
    text = item.get(key)
    told = foreign_input.name_told(text, limit=_TEXT)
    if not isinstance(text, str) or not told or len(text) > _TEXT or (key == "id" and foreign_input.has_controls(text)):
        raise ValidationError(
            _("Item %(number)s: “%(key)s” must be a text of 1 to %(most)s characters."),
            params={"number": number, "key": key, "most": _TEXT},
        )
    if key != "id":
        item[key] = told
