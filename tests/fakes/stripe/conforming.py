"""Holds what the fake answers against Stripe's published description of the version that it speaks.

The description is OpenAPI 3.0, where `nullable` stands beside a type, an enum or an `anyOf`; JSON Schema wants null to
be one of the alternatives, so each is folded into one first.
"""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.fakes.stripe.spec import Json, document

BASE = "urn:stripe"
#: What real answers have beside what is described: an older name of the price, a product's kind.
MORE = {"subscription_item": {"plan"}, "product": {"type"}}


@cache
def _registry() -> Registry[Any]:
    schemas = {name: _folded(about) for name, about in document()["components"]["schemas"].items()}
    empty: Registry[Any] = Registry()
    known: Registry[Any] = empty.with_resource(BASE, DRAFT202012.create_resource({"components": {"schemas": schemas}}))
    return known


def _folded(about: Any) -> Any:
    if isinstance(about, list):
        return [_folded(one) for one in about]
    if not isinstance(about, dict):
        return about
    made = {key: _folded(value) for key, value in about.items() if key != "nullable"}
    if "$ref" in made and isinstance(made["$ref"], str):
        made["$ref"] = BASE + made["$ref"]
    if about.get("nullable") is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"{BASE}#/components/schemas/{name}"}, registry=_registry())


def schema_of(thing: Json) -> str:
    kind: str = thing["object"]
    return f"deleted_{kind}" if thing.get("deleted") else kind


def mistakes(thing: Json) -> list[str]:
    """What is wrong with an object, or with those of a list; nothing, if all is as described."""
    if thing.get("object") == "list":
        return [wrong for one in thing["data"] for wrong in mistakes(one)]
    if "error" in thing:
        return _wrong("error", thing)
    name = schema_of(thing)
    known = set(document()["components"]["schemas"][name]["properties"]) | MORE.get(name, set())
    return [f"{name}: {key} is unknown" for key in thing if key not in known] + _wrong(name, thing)


def _wrong(name: str, thing: Json) -> list[str]:
    return [f"{name}: {error.json_path} {error.message[:300]}" for error in _validator(name).iter_errors(thing)]
