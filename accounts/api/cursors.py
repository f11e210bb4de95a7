"""Lists in pages: by a cursor on (instant, id), never by an offset, so that a row that comes or goes moves no other."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

from django.db.models import Model, Q, QuerySet
from pydantic import Field

from accounts.api import problems
from accounts.api.problems import FieldError, Problem
from accounts.core import foreign_input

T = TypeVar("T", bound=Model)
MOST = 200
Limit = Annotated[int, Field(ge=1, le=MOST, description="Rows in an answer.")]
Cursor = Annotated[str, Field(max_length=200, description="`next` of the answer before.")]


def page(rows: "QuerySet[T]", *, by: str, cursor: str, limit: int) -> tuple[Sequence[T], str | None]:
    """Up to `limit` rows after the cursor, oldest first by the instant `by` and the key; and the next cursor."""
    if cursor:
        at, key = _read(cursor, rows.model)
        rows = rows.filter(Q(**{f"{by}__gt": at}) | Q(**{by: at, "pk__gt": key}))
    found = list(rows.order_by(by, "pk")[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], _written(getattr(last, by), last.pk)


def _written(at: datetime, key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps([at.isoformat(), str(key)]).encode()).decode().rstrip("=")


def _read(cursor: str, model: type[Model]) -> tuple[datetime, Any]:
    try:
        at, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None or not foreign_input.is_within_years(instant):
            raise ValueError
        found = model._meta.pk.to_python(key)
        if isinstance(found, int) and not 0 <= found < 2**63:
            raise ValueError
    except Exception:
        # Whatever it is that was sent: it is no cursor of ours.
        error = FieldError("query:cursor", "cursor", "Send `next` of the answer before, or nothing.")
        raise Problem(problems.INVALID, errors=[error]) from None
    return instant, found
