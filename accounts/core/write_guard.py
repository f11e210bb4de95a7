"""While an account is being erased nothing may be written to it: the database refuses, whoever asks.

Without this a row that slips in between the erasing of children and of parents would keep the parent for ever
(PostHog issue 5534). Every table with an `account` carries the trigger; code that writes files asks first.
"""

import uuid

import pgtrigger
from django.db import connection


class BeingErased(Exception):
    """The account is being erased, or has been: nothing may be written to it any more."""


def refuse_if_purging(account_id: uuid.UUID) -> None:
    """Raise `BeingErased` if the account is being erased or is gone.

    Inside a transaction the answer holds until its end: the purge can't start before that. For whoever is about to
    write where no trigger of the database watches, such as a file.
    """
    with connection.cursor() as cursor:
        # A key share: other transitions of the account go on, only the start of its purge waits.
        cursor.execute("SELECT purging_at FROM accounts_account WHERE id = %s FOR KEY SHARE", [account_id])
        row = cursor.fetchone()
    if row is None or row[0] is not None:
        raise BeingErased(account_id)


def refused_while_erasing() -> pgtrigger.Trigger:
    """The trigger for a table with an `account`. Checked once a statement: batches of thousands stay fast.

    It takes the lock itself, because the foreign key's own check comes only at commit: too late to see the purge.
    """
    return pgtrigger.Trigger(
        name="refused_while_erasing",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="inserted"),  # type: ignore[no-untyped-call]  # it has no types
        func="""
            PERFORM 1 FROM accounts_account WHERE id IN (SELECT account_id FROM inserted) FOR KEY SHARE;
            IF EXISTS (
                SELECT 1 FROM accounts_account
                 WHERE id IN (SELECT account_id FROM inserted) AND purging_at IS NOT NULL
            ) THEN
                RAISE EXCEPTION 'the account is being erased: nothing may be written to it'
                    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'refused_while_erasing';
            END IF;
            RETURN NULL;
        """,
    )


def people_who_go_stay_out() -> pgtrigger.Trigger:
    """The trigger for memberships: a person who is being erased with the last account can't join another one."""
    return pgtrigger.Trigger(
        name="people_who_go_stay_out",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            PERFORM 1 FROM accounts_user WHERE id = NEW.user_id FOR KEY SHARE;
            IF EXISTS (SELECT 1 FROM accounts_leaver WHERE user_id = NEW.user_id)
               AND NOT EXISTS (
                   SELECT 1 FROM accounts_membership AS place
                     JOIN accounts_account AS account ON account.id = place.account_id
                    WHERE place.user_id = NEW.user_id AND account.purging_at IS NULL
               ) THEN
                RAISE EXCEPTION 'person % is being erased', NEW.user_id
                    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'people_who_go_stay_out';
            END IF;
            RETURN NEW;
        """,
    )
