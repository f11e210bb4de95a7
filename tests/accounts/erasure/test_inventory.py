"""The inventory is complete, in order, and quick to follow."""

import pytest
from django.apps import apps
from django.db import connection

from accounts.erasure import inventory
from accounts.erasure.inventory import Erased, Scrubbed
from accounts.models import Account, User

pytestmark = pytest.mark.django_db

#: Every foreign key: its name, its table, its columns, the table it points to.
FOREIGN_KEYS = """
SELECT con.conname, con.conrelid::regclass::text, con.conkey, con.confrelid::regclass::text
  FROM pg_constraint AS con WHERE con.contype = 'f'
"""
#: Foreign keys no index of which begins with their columns. An index on some of the rows does not count, unless it
#: leaves out only those without a value.
UNINDEXED = """
SELECT con.conname FROM pg_constraint AS con
 WHERE con.contype = 'f' AND con.confrelid::regclass::text = ANY(%s)
   AND NOT EXISTS (
       SELECT 1 FROM pg_index AS index
        WHERE index.indrelid = con.conrelid AND index.indpred IS NULL
          AND (index.indkey::smallint[])[0:cardinality(con.conkey) - 1] = con.conkey
   )
 ORDER BY 1
"""


def tables() -> list[str]:
    """The tables from which a purge deletes, in its order."""
    return [apps.get_model(label)._meta.db_table for label in inventory.erased_models()]


def test_every_model_is_on_a_list() -> None:
    assert inventory.unlisted() == [], "say in the app's inventory whether a purge erases, scrubs or keeps these"


def test_every_entry_is_of_a_model_and_named_once() -> None:
    labels = {model._meta.label for model in apps.get_models(include_auto_created=True)}
    assert {store.model for store in inventory.stores()} <= labels
    names = [store.name for store in inventory.stores()]
    assert len(names) == len(set(names))


def test_what_is_kept_has_a_reason() -> None:
    assert all(str(entry.reason) for entry in inventory.kept())


def test_every_foreign_key_to_what_is_erased_is_indexed() -> None:
    with connection.cursor() as cursor:
        cursor.execute(UNINDEXED, [tables()])
        assert cursor.fetchall() == []


def test_a_missing_index_is_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE forgotten (owner bigint CONSTRAINT forgotten_owner REFERENCES accounts_user)")
        cursor.execute("CREATE INDEX ON forgotten (owner) WHERE owner > 5")
        cursor.execute(UNINDEXED, [tables()])
        assert cursor.fetchall() == [("forgotten_owner",)]
        cursor.execute("CREATE INDEX ON forgotten (owner)")
        cursor.execute(UNINDEXED, [tables()])
        assert cursor.fetchall() == []


def test_children_go_before_their_parents_and_nothing_points_at_what_goes_unseen() -> None:
    order = {table: position for position, table in enumerate(tables())}
    scrubbed = {
        (apps.get_model(store.model)._meta.db_table, apps.get_model(store.model)._meta.get_field(name).column)
        for store in inventory.stores()
        if isinstance(store, Scrubbed)
        for name in store.values
    }
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS)
        for name, table, columns, parent in cursor.fetchall():
            if parent not in order or table == parent:
                continue
            cursor.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = %s", [table, columns[0]]
            )
            (column,) = cursor.fetchone()
            assert table in order or (table, column) in scrubbed, f"{name} would keep rows of {parent}"
            if table in order:
                assert order[table] < order[parent], f"{name}: {table} must be emptied before {parent}"


def test_every_table_with_an_account_refuses_rows_while_it_is_erased() -> None:
    labels = set(inventory.erased_models()) - {"accounts.Account"}
    for label in labels:
        model = apps.get_model(label)
        if any(field.name == "account" and field.related_model is Account for field in model._meta.concrete_fields):
            names = [trigger.name for trigger in getattr(model._meta, "triggers", [])]
            assert "refused_while_erasing" in names, f"{label} needs accounts.core.write_guard.refused_while_erasing"


def test_finding_an_accounts_rows_uses_no_statement_per_row(account: Account, owner: User) -> None:
    for store in inventory.stores():
        if isinstance(store, Erased):
            sql = str(store.find(account.pk).query)
            assert str(account.pk).replace("-", "") in sql.replace("-", ""), f"{store.name} must depend on the account"
