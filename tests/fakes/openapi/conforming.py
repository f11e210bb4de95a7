"""Holds an answer, or a payload, against GitHub's OpenAPI description. See README.md beside it."""

import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema

DESCRIPTION = json.loads((Path(__file__).parent / "github.json").read_text())
FORMATS = jsonschema.FormatChecker(formats=())

# What GitHub answers although its description has no such status: credentials, limits, moves and breakdowns can come
# anywhere, and a dead token at DELETE …/token may well be a 404.
UNDOCUMENTED = {"301", "307", "401", "403", "404", "422", "429", "500"}


@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("uri")
def is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(httpx.URL(value).scheme)


@FORMATS.checks("email")
def is_email(value: object) -> bool:
    return not isinstance(value, str) or "@" in value


def conforms(answer: httpx.Response) -> None:
    """Asserts that this is an answer which GitHub's OpenAPI description allows here."""
    answer.read()
    endpoint = f"{answer.request.method} {answer.request.url.path}"
    documented = next(
        schemas for template, schemas in DESCRIPTION["answers"].items() if pattern(template).fullmatch(endpoint)
    )
    status = str(answer.status_code)
    if status not in documented:
        assert status in UNDOCUMENTED, f"{endpoint} never answers {status}"
        check({"$ref": "#/definitions/basic-error"}, answer.json())
    elif documented[status] is None:
        assert answer.content == b""
    else:
        check(documented[status], answer.json())


def check(schema: Any, instance: Any) -> None:
    validator = jsonschema.Draft7Validator(
        {"allOf": [schema], "definitions": DESCRIPTION["definitions"]}, format_checker=FORMATS
    )
    validator.validate(instance)


@cache
def pattern(template: str) -> re.Pattern[str]:
    """Of an endpoint; the addresses to which moved repositories redirect are the same endpoints."""
    path = re.sub(
        r"{\w+}", r"[^/]+", template.replace("/repos/{owner}/{repo}/", "/(?:repos/[^/]+|repositories)/[^/]+/")
    )
    return re.compile(path)
