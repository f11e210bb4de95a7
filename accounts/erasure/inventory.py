"""The inventory: every place where personal data may lie, and what a purge does there.

Each model is listed at least once: its rows are *erased* or *scrubbed* with the account they belong to, or *kept* for
a reason and on a legal ground that stand here. A test walks every installed model and fails on an unlisted one. Each
app declares what it holds (`accounts.personal_data`, `subscriptions.personal_data`, …); the vendor's
own product declares erasers for what lies outside this database, and folders of files.

What a store erases at once is one SQL statement, without the ORM's cascade and without signals: memory stays
constant, however many rows there are.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Protocol

from django.apps import apps
from django.db import connection
from django.db.models import Model, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.utils.functional import Promise

from accounts.core.registry import Registry, function_name
from accounts.erasure.file_deletions import insert_statement
from accounts.erasure.table_scan import Walk

#: The rows of an account in one table.
Find = Callable[[uuid.UUID], "QuerySet[Any, Any]"]


class Order(IntEnum):
    """What goes when: children before parents. Within a stage, in the order of registration."""

    NOTES = 0  # what is noted about the account's content, as long as it can be looked up by that
    CONTENT = 1  # what the account owns
    PLACES = 2  # its memberships: from here on it is known who belongs to no other account
    PERSONAL_NOTES = 3  # what is noted about those people and what they own
    PERSONAL = 4  # what those people own
    PEOPLE = 5
    ACCOUNT = 6


class Store(Protocol):
    """A table of this database, or some of its rows."""

    @property
    def model(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def order(self) -> Order: ...
    def erase(self, account_id: uuid.UUID, limit: int) -> int:
        """Erase up to `limit` in the caller's transaction. Returns how many; fewer than `limit`: none is left."""

    def count(self, account_id: uuid.UUID) -> int:
        """How many are left."""


@dataclass(frozen=True)
class Erased:
    """Rows that are deleted. `part` tells apart several entries of a model; `files` are its file fields.

    What is erased is exported before (`accounts.exports.parts`), or says here why it is `not_exported`: a test compares
    the two. `many` names the foreign key to the account in a table of which one account may own a good part: there a
    purge may walk through the table (`accounts.erasure.table_scan`).
    """

    model: str
    order: Order
    find: Find
    part: str = ""
    files: tuple[str, ...] = ()
    many: str = ""
    not_exported: str | Promise = ""

    @property
    def name(self) -> str:
        return f"{self.model} ({self.part})" if self.part else self.model

    def erase(self, account_id: uuid.UUID, limit: int) -> int:
        rows, params = _chunk(self.find(account_id), limit)
        table = _table(self.model)
        gone = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({rows}))"  # noqa: S608  # names of our own tables
        with connection.cursor() as cursor:
            if not self.files:
                cursor.execute(gone, params)
                return int(cursor.rowcount)
            columns = [_column(self.model, name) for name in self.files]
            statement = (
                f"WITH gone AS ({gone} RETURNING {', '.join(columns)}), "  # noqa: S608  # our own names
                f"files AS ({insert_statement('gone', columns)}) SELECT count(*) FROM gone"
            )
            cursor.execute(statement, [*params, *[account_id] * len(columns)])
            (erased,) = cursor.fetchone()
            return int(erased)

    def count(self, account_id: uuid.UUID) -> int:
        return self.find(account_id).count()

    @property
    def walk(self) -> Walk | None:
        """How to go through the table; None where an account never has many rows."""
        if not self.many:
            return None
        columns = [_column(self.model, name) for name in self.files]
        return Walk(_table(self.model), _column(self.model, self.many), tuple(columns))


@dataclass(frozen=True)
class Scrubbed:
    """Rows that stay, emptied of what is personal. `find` gives only those that have not been emptied yet.

    `held_by_workers`: a worker may hold one of them while it waits for this account. Those are passed over, and there
    is more to do until none is left.
    """

    model: str
    order: Order
    find: Find
    values: Mapping[str, Any]
    part: str = ""
    held_by_workers: bool = False

    @property
    def name(self) -> str:
        return f"{self.model} ({self.part})" if self.part else self.model

    def erase(self, account_id: uuid.UUID, limit: int) -> int:
        rows = self.find(account_id)
        if self.held_by_workers:
            rows = rows.select_for_update(skip_locked=True, no_key=True)
        return scrub(rows, self.values, limit)

    def count(self, account_id: uuid.UUID) -> int:
        return self.find(account_id).count()


@dataclass(frozen=True)
class Kept:
    """A model, or another place, that a purge leaves alone, or from which it removes only what `scrubbed` says."""

    name: str
    reason: str | Promise
    #: Why that is lawful; empty where there is nothing about a person.
    ground: str | Promise = ""
    scrubbed: str | Promise = ""
    #: Until when at the latest what is kept of an account stays; None, or no answer, where there is no date.
    until: Callable[[uuid.UUID], datetime | None] | None = None


@dataclass(frozen=True)
class Eraser:
    """A store outside this database: a search index, a mailing list. Called outside of any transaction.

    `erase` removes everything of the account, is safe to repeat, and returns how much that was; `count` says how much
    is left. Both may fail: the purge tries again later. They come first, while the account can still be looked up.
    """

    name: str
    erase: Callable[[uuid.UUID], int]
    count: Callable[[uuid.UUID], int]


@dataclass(frozen=True)
class Keeper:
    """Writes down what the law wants kept, without personal data, when a purge starts. Returns how much that was."""

    name: str
    keep: Callable[[uuid.UUID, datetime], int]


#: What is left of an account with others when it has been erased here, for its certificate: `where`, `what`, `why` in
#: words, `until` as a date, None where nobody knows. No personal data. Of an account that has nothing there: nothing.
Remains = Callable[[uuid.UUID], list[dict[str, Any]]]

#: Money that went back to the account's owner from an instant on, for its certificate: `at`, `cents`, `currency`. Asked
#: when all of the account has been erased, so it reads what the law keeps.
PaidBack = Callable[[uuid.UUID, datetime], list[dict[str, Any]]]

#: Within a stage children come before parents.
STORES: Registry[Store] = Registry()
KEPT: Registry[Kept] = Registry()
#: Stores outside this database.
ERASERS: Registry[Eraser] = Registry()
#: What is to be written down, in the transaction that starts a purge, before anything is erased.
KEEPERS: Registry[Keeper] = Registry()
#: Folders of the default storage that hold an account's files, and nothing else.
FOLDERS: Registry[Callable[[uuid.UUID], str]] = Registry(key=function_name)
REMAINS: Registry[Remains] = Registry(key=function_name)
PAID_BACK: Registry[PaidBack] = Registry(key=function_name)


def install(
    entries: Iterable[Store | Kept],
    erasers: Iterable[Eraser],
    keepers: Iterable[Keeper],
    folders: Iterable[Callable[[uuid.UUID], str]],
) -> None:
    """List what an app holds: children before parents. Called by `Extension.install`."""
    for entry in entries:
        if isinstance(entry, Kept):
            KEPT.add(entry)
        else:
            STORES.add(entry)
    ERASERS.add(*erasers)
    KEEPERS.add(*keepers)
    FOLDERS.add(*folders)


def stores() -> list[Store]:
    """The places in this database, in the order in which they are emptied."""
    return sorted(STORES.all(), key=lambda store: store.order)


def kept() -> list[Kept]:
    return KEPT.all()


def erasers() -> list[Eraser]:
    return ERASERS.all()


def keepers() -> list[Keeper]:
    return KEEPERS.all()


def folders(account_id: uuid.UUID) -> list[str]:
    return [folder(account_id) for folder in FOLDERS.all()]


def remains(account_id: uuid.UUID) -> list[dict[str, Any]]:
    """What is left of the account with others."""
    return [entry for with_others in REMAINS.all() for entry in with_others(account_id)]


def paid_back(account_id: uuid.UUID, since: datetime) -> list[dict[str, Any]]:
    """The money that went back since then, the earliest first."""
    found = [entry for asked in PAID_BACK.all() for entry in asked(account_id, since)]
    return sorted(found, key=lambda entry: str(entry["at"]))


def erased_models() -> list[str]:
    """The labels of the models whose rows go, in the order in which they do."""
    return [store.model for store in stores() if isinstance(store, Erased)]


def left_out() -> list[tuple[str, str]]:
    """What an erasing takes and no export holds: the model's label, and why."""
    found = {store.model: str(store.not_exported) for store in stores() if isinstance(store, Erased)}
    return [(model, why) for model, why in found.items() if why]


def unlisted() -> list[str]:
    """The installed models that are on neither list."""
    listed = {*(entry.name for entry in KEPT.all()), *(store.model for store in STORES.all())}
    return sorted({model._meta.label for model in apps.get_models(include_auto_created=True)} - listed)


def scrub(rows: "QuerySet[Any, Any]", values: Mapping[str, Any], limit: int) -> int:
    """Set `values` in up to `limit` of these rows, in the caller's transaction. Returns how many."""
    found, params = _chunk(rows, limit)
    model = rows.model._meta
    changes = ", ".join(f"{connection.ops.quote_name(model.get_field(name).column)} = %s" for name in values)
    prepared = [model.get_field(name).get_db_prep_save(value, connection) for name, value in values.items()]
    table = connection.ops.quote_name(model.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {changes} WHERE ctid = ANY(ARRAY({found}))",  # noqa: S608  # our own names
            [*prepared, *params],
        )
        return int(cursor.rowcount)


def _chunk(rows: "QuerySet[Any, Any]", limit: int) -> tuple[str, tuple[Any, ...]]:
    """SQL for the physical places of up to `limit` rows. An array of them leaves the planner no choice to get wrong."""
    if not rows.query.order_by:
        rows = rows.order_by()
    table = connection.ops.quote_name(rows.model._meta.db_table)
    places = rows.annotate(_place=RawSQL(f"{table}.ctid", (), output_field=TextField()))  # noqa: S611  # our own names
    sql, params = places.values_list("_place")[:limit].query.sql_with_params()
    return sql, tuple(params)


def _model(label: str) -> type[Model]:
    return apps.get_model(label)


def _table(label: str) -> str:
    return connection.ops.quote_name(_model(label)._meta.db_table)


def _column(label: str, name: str) -> str:
    return connection.ops.quote_name(str(getattr(_model(label)._meta.get_field(name), "column", name)))
