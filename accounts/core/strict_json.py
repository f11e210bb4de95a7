"""Reading JSON that somebody else wrote, within bounds, into what PostgreSQL can store."""

import json
import math
from datetime import datetime
from typing import Any, NoReturn

from django.http import HttpRequest

#: Deeper nesting than any honest sender's; far below the interpreter's recursion limit.
MAX_DEPTH = 32


class BadJSON(ValueError):
    """The text is not JSON that we take. The message says why, for the sender."""


class TooLarge(BadJSON):
    """The body is longer than this door takes."""


def read_body(request: HttpRequest, *, limit: int) -> bytes:
    """The raw body, at most `limit` bytes of it in memory. Raises `TooLarge`."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes.")
    body = request.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes.")
    return body


def parse(text: str | bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """The value that `text` means. Raises `BadJSON` for anything that JSON or PostgreSQL's `jsonb` does not know."""
    try:
        # Decoded here, because `json` would guess at other encodings and swallow a byte order mark.
        decoded = text.decode() if isinstance(text, bytes) else text
        value = _DECODER.decode(decoded)
    except RecursionError:
        raise BadJSON(f"The JSON is nested more than {max_depth} levels deep.") from None
    except UnicodeDecodeError:
        raise BadJSON("The text is not UTF-8.") from None
    except ValueError as error:
        raise BadJSON(f"Not JSON: {error}") from None
    # Most texts are plainly harmless: UTF-8 without escapes holds no surrogate and, as JSON, no NUL, and nothing nests
    # deeper than there are brackets. Looking at every value would cost more than parsing them.
    if not isinstance(text, bytes) or "\\u" in decoded:
        check(value, max_depth)
    elif isinstance(value, dict | list) and decoded.count("{") + decoded.count("[") >= max_depth:
        _check_depth(value, max_depth)
    return value


def _check_depth(value: Any, max_depth: int) -> None:
    """As `check`, of a value whose text holds nothing that the database can't."""
    level = [value]
    for _depth in range(max_depth - 1):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    if any(level):
        raise BadJSON(f"The JSON is nested more than {max_depth} levels deep.")


def check(value: Any, max_depth: int = MAX_DEPTH) -> None:
    """Raise `BadJSON` for nesting too deep and for text that the database can't hold."""
    level = [value]
    for _depth in range(max_depth):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                for key in item:
                    _storable(key)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str):
                _storable(item)
        if not below:
            return
        level = below
    raise BadJSON(f"The JSON is nested more than {max_depth} levels deep.")


def _storable(text: str) -> None:
    if "\x00" in text:
        raise BadJSON("Text may not contain the NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadJSON("Text may not contain half a surrogate pair.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")


def _finite(text: str) -> float:
    """A number that a `float` and `jsonb` hold. Python reads 1e999 as infinity, which JSON has no word for."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


#: Made once; `json.loads` would make one for each text.
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def instant(at: datetime | None) -> str | None:
    """An instant as our answers say it: RFC 3339 in UTC, with a fraction of a second only where there is one."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z") if at else None
