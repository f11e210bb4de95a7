"""Filling a database with customers, fast: a few INSERT … SELECT with triggers and foreign keys asleep.

What lies in it is what the product would have written: each account has an owner, a subscription and the history of
its start; a share of the subscriptions ends at one instant (`ENDS`) and as many later, each by an open cancellation
whose confirmation was mailed. Checks, unique indexes and the exclusion constraint are awake all the while.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from django.db.models import NOT_PROVIDED, Model
from psycopg import sql

from accounts.models import Account, Event, Membership, Notice, User
from bench.stage import Stage
from subscriptions.models import Cancellation, Subscription

MODELS = (User, Account, Membership, Subscription, Cancellation, Event, Notice)

#: The instant at which the share of the subscriptions ends.
ENDS = datetime(2026, 3, 17, 9, 30, tzinfo=UTC)
#: Just before: nothing is due yet.
QUIET = ENDS - timedelta(seconds=1)

#: Customer `n` of `every`: those with n % every = 0 end at ENDS, those with n % every = 1 end 10 to 300 days later.
CUSTOMERS: LiteralString = """
CREATE TEMPORARY TABLE customer AS
SELECT n,
       gen_random_uuid() AS account_id,
       %(ends)s - interval '1 day' * (30 + n %% 700) AS started_at,
       CASE n %% %(every)s
           WHEN 0 THEN %(ends)s
           WHEN 1 THEN %(ends)s + interval '1 day' * (10 + n %% 290)
       END AS ends_at,
       CASE n %% %(every)s WHEN 1 THEN %(ends)s + interval '1 day' * (3 + n %% 290) END AS next_reminder_at,
       %(ends)s - interval '20 days' AS requested_at,
       CASE WHEN n %% 5 = 0 THEN 'enterprise' ELSE 'pro' END AS plan_id
  FROM generate_series(1, %(subscriptions)s) AS n
"""

STATEMENTS: tuple[LiteralString, ...] = (
    """
    INSERT INTO accounts_user
           (id, password, is_superuser, email, name, words, language, time_zone, is_staff, is_active, joined_at)
    SELECT n, '!', false, 'owner' || n || '@bench.example', 'Owner ' || n, 'owner ' || n, '', 'UTC', false, true,
           started_at
      FROM customer
    """,
    """
    INSERT INTO accounts_account (id, name, words, created_at)
    SELECT account_id, 'Account ' || n, 'account ' || n, started_at FROM customer
    """,
    """
    INSERT INTO accounts_membership (account_id, user_id, role, joined_at)
    SELECT account_id, n, 'owner', started_at FROM customer
    """,
    """
    INSERT INTO subscriptions_subscription
           (id, account_id, plan_id, channel, interval, seats, cents, currency, started_at, anchor_at,
            ends_at, next_reminder_at)
    SELECT n, account_id, plan_id, 'direct', 1, 1, 4900, 'USD', started_at, started_at,
           ends_at, next_reminder_at
      FROM customer
    """,
    """
    INSERT INTO subscriptions_cancellation
           (id, reference, subscription_id, requested_at, requested_by_id, reason, comment, effective_at)
    SELECT n, 'CAN-' || n, n, requested_at, n, 'unused', '', ends_at
      FROM customer WHERE ends_at IS NOT NULL
    """,
    """
    INSERT INTO accounts_event (account_id, kind, at, actor_kind, facts)
    SELECT account_id, 'subscription.started', started_at, 'system',
           jsonb_build_object('subscription', n, 'plan', plan_id, 'channel', 'direct', 'seats', 1)
      FROM customer
    """,
    """
    INSERT INTO accounts_event (account_id, kind, at, actor_kind, actor_id, facts)
    SELECT account_id, 'cancellation.requested', requested_at, 'owner', n,
           jsonb_build_object('subscription', n, 'reference', 'CAN-' || n, 'effective_at', ends_at)
      FROM customer WHERE ends_at IS NOT NULL
    """,
    """
    INSERT INTO accounts_notice
           (id, account_id, recipient_id, kind, occasion, facts, queued_at, next_attempt_at, attempts, last_error,
            sent_at)
    SELECT gen_random_uuid(), account_id, n, 'subscriptions/cancellation_confirmed', 'cancellation.requested:' || n,
           jsonb_build_object('reference', 'CAN-' || n, 'effective_at', ends_at), requested_at, requested_at, 1, '',
           requested_at
      FROM customer WHERE ends_at IS NOT NULL
    """,
    *(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"  # noqa: S608  # no input
        for table in ("accounts_user", "subscriptions_subscription", "subscriptions_cancellation")
    ),
)


def filled(stage: Stage, *, subscriptions: int, ending: int) -> str:
    """The name of a database with so many subscriptions, of which `ending` end at `ENDS` and as many later."""

    def fill(connection: psycopg.Connection) -> None:
        every = subscriptions // ending
        # Values put in by the client: CREATE TABLE takes no parameters.
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(CUSTOMERS, {"ends": ENDS, "every": every, "subscriptions": subscriptions})
        insert(connection, MODELS, STATEMENTS)

    return stage.once(f"filled_{subscriptions}", fill)


def insert(connection: psycopg.Connection, models: Sequence[type[Model]], statements: Iterable[LiteralString]) -> None:
    """Carry out INSERT … SELECT statements into the tables of these models, with triggers and foreign keys asleep."""
    connection.execute("SET session_replication_role = replica")
    with defaults(connection, models):
        for statement in statements:
            connection.execute(statement)
    connection.execute("SET session_replication_role = DEFAULT")
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")


@contextmanager
def defaults(connection: psycopg.Connection, models: Sequence[type[Model]]) -> Iterator[None]:
    """Within: columns that a statement leaves out hold what Django would put there."""
    found = _constants(models)
    for table, column, value in found:
        _alter(connection, table, column, sql.SQL("SET DEFAULT {}").format(sql.Literal(value)))
    yield
    for table, column, _value in found:
        _alter(connection, table, column, sql.SQL("DROP DEFAULT"))


def _constants(models: Sequence[type[Model]]) -> list[tuple[str, str, Any]]:
    """What Django would put in each column that a statement leaves out: table, column, value.

    So a new column with a default in its model needs no change here.
    """
    return [
        (model._meta.db_table, str(field.column), field.get_default())
        for model in models
        for field in model._meta.local_concrete_fields
        if not (field.null or field.primary_key or field.is_relation or field.has_db_default())
        and (field.default is NOT_PROVIDED or not callable(field.default))
        and field.get_default() is not None
    ]


def _alter(connection: psycopg.Connection, table: str, column: str, change: sql.Composable) -> None:
    connection.execute(
        sql.SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(sql.Identifier(table), sql.Identifier(column), change)
    )
