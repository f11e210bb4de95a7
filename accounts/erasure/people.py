"""Leavers: the people of an account that is being erased.

Written down when the purge starts, because memberships go before people do. A leaver who belongs to no other account
goes with the account; one who does stays. Staff are never leavers.
"""

import uuid
from typing import LiteralString, Self

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from accounts.customers.account import Membership

#: Holds back whoever would make one of them a member elsewhere just now; `people_who_go_stay_out` waits for it.
_LOCK: LiteralString = """
SELECT count(*) FROM (
    SELECT 1 FROM accounts_user
     WHERE id IN (SELECT user_id FROM accounts_membership WHERE account_id = %(account)s) AND NOT is_staff
     ORDER BY id FOR UPDATE
) AS locked
"""
_WRITE_DOWN: LiteralString = """
INSERT INTO accounts_leaver (account_id, user_id)
SELECT place.account_id, place.user_id
  FROM accounts_membership AS place JOIN accounts_user AS person ON person.id = place.user_id
 WHERE place.account_id = %(account)s AND NOT person.is_staff
ON CONFLICT DO NOTHING
"""
#: Those who belong to no account but such as are being erased.
_GOING: LiteralString = """
SELECT leaver.user_id FROM accounts_leaver AS leaver
 WHERE leaver.account_id = %(account)s
   AND NOT EXISTS (
       SELECT 1 FROM accounts_membership AS place JOIN accounts_account AS account ON account.id = place.account_id
        WHERE place.user_id = leaver.user_id AND account.purging_at IS NULL
   )
"""


class DepartingPersonQuerySet(models.QuerySet["DepartingPerson"]):
    def of(self, account_id: uuid.UUID) -> Self:
        return self.filter(account_id=account_id)

    def belonging_to_none(self) -> Self:
        """Those without a place anywhere, who go. Right once the account's own memberships are gone."""
        places = Membership.objects.filter(user_id=models.OuterRef("user_id"))
        return self.exclude(models.Exists(places))


class DepartingPerson(models.Model):
    """One person of one account that is being erased, by ids only. Removed when the purge has been verified."""

    account_id = models.UUIDField(_("account"))
    user_id = models.BigIntegerField(_("person"), db_index=True)

    objects = DepartingPersonQuerySet.as_manager()

    class Meta:
        db_table = "accounts_leaver"
        verbose_name = _("departing person")
        verbose_name_plural = _("departing people")
        constraints = [models.UniqueConstraint(fields=["account_id", "user_id"], name="leaver_is_unique")]

    def __str__(self) -> str:
        return f"{self.user_id} of {self.account_id}"


def see_out(account_id: uuid.UUID) -> None:
    """Write down who leaves with the account, and sign out those who will go with it: they can't sign in again.

    In the transaction that starts the purge, after `purging_at` has been set.
    """
    account = {"account": account_id}
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, account)
        cursor.execute(_WRITE_DOWN, account)
        cursor.execute(f"UPDATE accounts_user SET is_active = FALSE WHERE id IN ({_GOING})", account)  # noqa: S608  # constant SQL
        cursor.execute(
            f"DELETE FROM accounts_session WHERE user_id IN ({_GOING})",  # noqa: S608  # constant SQL
            account,
        )


def people_who_go(account_id: uuid.UUID) -> models.QuerySet["DepartingPerson", int]:
    """The ids of the people to be erased with the account, for a `user__in`."""
    return DepartingPerson.objects.of(account_id).belonging_to_none().values_list("user_id", flat=True)


def people_about_to_go(account_id: uuid.UUID) -> models.QuerySet["DepartingPerson", int]:
    """The ids of the people who will go, right also while the account's own memberships are still there."""
    elsewhere = Membership.objects.filter(user_id=models.OuterRef("user_id"), account__purging_at=None)
    return DepartingPerson.objects.of(account_id).exclude(models.Exists(elsewhere)).values_list("user_id", flat=True)
