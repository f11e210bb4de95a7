"""Rows of several tables inserted by one statement: for runs that bring in the same few rows a hundred thousand times.

Where each row is a transaction of its own, going to the database and back is most of what an insert costs.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

#: Ids asked of a sequence at once. Those left over at the end of a run are gaps, as a failed insert leaves them.
RESERVED = 500


class Ids:
    """Keys of rows to come: by them rows of one statement refer to each other."""

    def __init__(self, model: type[models.Model]) -> None:
        self._model = model
        self._ready: list[int] = []

    def take(self) -> int:
        if not self._ready:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
                    [self._model._meta.db_table, _key(self._model).column, RESERVED],
                )
                self._ready = [key for (key,) in reversed(cursor.fetchall())]
        return self._ready.pop()


def insert_together(*tables: Sequence[models.Model]) -> None:
    """Insert rows, those of one table in one list and those of a list alike; empty lists are left out.

    Keys that nobody asks for come from the database and are not told back. No signals. Foreign keys between the rows
    hold, as they are checked at the end. Raises what `save` would.
    """
    statements, values = [], []
    for rows in filter(None, tables):
        fields = [field for field in _fields(type(rows[0])) if not _is_left_to_the_database(field, rows[0])]
        statements.append(_statement(type(rows[0]), tuple(fields), len(rows)))
        values += [
            field.get_db_prep_save(field.pre_save(row, add=True), connection=connection)
            for row in rows
            for field in fields
        ]
    if not statements:
        return
    *others, last = statements
    names = ", ".join(f"t{number} AS ({statement})" for number, statement in enumerate(others))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {names} {last}" if names else last, values)


def _key(model: type[models.Model]) -> "models.Field[Any, Any]":
    key = model._meta.pk
    assert key is not None
    return key


@cache
def _fields(model: type[models.Model]) -> "list[models.Field[Any, Any]]":
    return list(model._meta.local_concrete_fields)


def _is_left_to_the_database(field: "models.Field[Any, Any]", row: models.Model) -> bool:
    value = getattr(row, field.attname)
    return isinstance(value, DatabaseDefault) or (field.primary_key and value is None)


@cache
def _statement(model: type[models.Model], fields: "tuple[models.Field[Any, Any], ...]", rows: int) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    marks = f"({', '.join(['%s'] * len(fields))})"
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES {', '.join([marks] * rows)}"  # noqa: S608  # our own names
