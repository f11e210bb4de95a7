"""Obliging us to erase an account's data, and taking that back: until the erasing begins (`accounts.erasure.starting`).

Each cause is an obligation of its own (`accounts.erasure.obligation`); the purge follows the earliest that is open, and
is off when none is left. Transitions lock the account first, then the purge.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.erasure.obligation import PurgeCause, PurgeObligation
from accounts.erasure.purge import Purge


class TooLate(Refused):
    """The erasing has begun, or is over: it can't be called off any more."""

    text = _("It is too late: the erasing of the data has begun.")


def schedule(
    account: Account,
    *,
    cause: PurgeCause,
    received_at: datetime,
    due_at: datetime,
    deadline_at: datetime,
    at: datetime,
    by: Actor,
) -> Purge:
    """Oblige us to erase the account's data from `due_at` on, before `deadline_at`. Returns the open purge.

    Each cause is an obligation of its own, whose dates are brought forward if it comes again, and never put off. The
    purge follows the earliest. The caller has locked the account, in its transaction.
    """
    with transaction.atomic(savepoint=False):
        purge = Purge.objects.of(account.pk).open().locked().first()
        dates = {"cause": cause, "received_at": received_at, "due_at": due_at, "deadline_at": deadline_at}
        if purge is None:
            purge = Purge.objects.create(account_id=account.pk, next_attempt_at=due_at, **dates)
            PurgeObligation.objects.create(purge=purge, **dates)
            if account.deactivated_at and account.returnable_until != due_at:
                _return_until(purge)
        elif _oblige(purge, cause, received_at, due_at, deadline_at):
            _follow(purge)
        else:
            return purge
        history.record(
            account.pk,
            AccountEvent.PURGE_SCHEDULED,
            at=at,
            by=by,
            subject=purge,
            purge=purge.pk,
            cause=cause,
            due_at=purge.due_at.isoformat(),
            deadline_at=purge.deadline_at.isoformat(),
        )
    return purge


def _oblige(purge: Purge, cause: PurgeCause, received_at: datetime, due_at: datetime, deadline_at: datetime) -> bool:
    """Have the purge's obligation of this cause, made if there is none, say the earlier dates. Whether that differs."""
    obligation, new = PurgeObligation.objects.open().get_or_create(
        purge=purge,
        cause=cause,
        defaults={"received_at": received_at, "due_at": due_at, "deadline_at": deadline_at, "called_off_at": None},
    )
    if new:
        return True
    before = (obligation.due_at, obligation.deadline_at)
    obligation.due_at = max(min(due_at, obligation.due_at), obligation.received_at)
    obligation.deadline_at = max(min(deadline_at, obligation.deadline_at), obligation.due_at)
    obligation.save(update_fields=["due_at", "deadline_at"])
    return before != (obligation.due_at, obligation.deadline_at)


def _follow(purge: Purge) -> None:
    """Give a purge the dates of its earliest open obligation; once it has started, no more than its deadline."""
    if purge.is_replay:
        # What is erased again after a restore goes by its own dates.
        return
    obligations = list(purge.obligations.open().soonest_first())
    first = obligations[0]
    if not purge.started_at:
        postponed = first.due_at > purge.due_at
        purge.cause, purge.received_at, purge.due_at = PurgeCause(first.cause), first.received_at, first.due_at
        purge.next_attempt_at = purge.due_at if postponed else min(purge.next_attempt_at, purge.due_at)
    purge.deadline_at = max(min(obligation.deadline_at for obligation in obligations), purge.due_at)
    purge.save(update_fields=["cause", "received_at", "due_at", "deadline_at", "next_attempt_at"])
    _return_until(purge)


def _return_until(purge: Purge) -> None:
    """A deactivated account can come back until its purge is due, and not for longer."""
    leaving = Account.objects.filter(pk=purge.account_id, deactivated_at__isnull=False, purging_at=None)
    leaving.update(returnable_until=purge.due_at)


def call_off(account: Account, *, at: datetime, by: Actor, cause: PurgeCause | None = None) -> bool:
    """Call off what obliges us to erase the account's data; with `cause`, that one alone. Whether anything changed.

    The purge itself is off when no obligation is left; else it goes by the dates of those that stand. Raises `TooLate`
    once the erasing has begun: against a purge that starts just now, exactly one of the two wins.
    """
    with transaction.atomic():
        found = Account.objects.select_for_update(no_key=True).filter(pk=account.pk).first()
        if found is None or found.purging_at:
            raise TooLate
        purge = Purge.objects.of(account.pk).open().locked().first()
        if purge is None:
            return False
        ending = purge.obligations.open().filter(**({"cause": cause} if cause else {}))
        if not ending.exists():
            return False
        if purge.started_at or purge.is_replay:
            raise TooLate
        ending.update(called_off_at=at)
        if purge.obligations.open().exists():
            _follow(purge)
            history.record(
                account.pk,
                AccountEvent.PURGE_POSTPONED,
                at=at,
                by=by,
                subject=purge,
                purge=purge.pk,
                cause=purge.cause,
                due_at=purge.due_at.isoformat(),
                deadline_at=purge.deadline_at.isoformat(),
            )
        else:
            purge.called_off_at, purge.waiting_for = at, ""
            purge.save(update_fields=["called_off_at", "waiting_for"])
            history.record(account.pk, AccountEvent.PURGE_CALLED_OFF, at=at, by=by, purge=purge.pk, cause=purge.cause)
    return True
