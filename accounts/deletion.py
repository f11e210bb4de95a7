"""The customer's own way to a purge: a request to support, an approval by staff, a grace period, and an undo.

Cancelling a subscription never deletes (seeds/003); deletion is asked for by the owner on the Support page, who is
answered within one month (GDPR art. 12(3)). Once staff have approved it, everything stands for a few days more, with a
banner and an undo on every page. Then the purge is due (`accounts.purge`).

What must be settled before, the apps above register when they start: a subscription that is billed elsewhere is an
obstacle, which staff can override with a reason; one that we bill is ended first.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.functional import Promise

from accounts import history, notices, purge
from accounts.account import Account
from accounts.history import Actor, ActorKind
from accounts.purge import Purge
from accounts.support import RequestKind, SupportRequest

#: Between the approval and the purge: time to notice a mistake, or somebody else's hand.
GRACE = timedelta(days=7)


class Blocked(Exception):
    """Something must be settled first. Carries what to tell the customer."""

    def __init__(self, obstacle: str | Promise) -> None:
        super().__init__(str(obstacle))
        self.obstacle = obstacle


class NotToBeApproved(Exception):
    """The request is closed, is none for deletion, or comes from the person who would approve it."""


Obstacle = Callable[[Account, datetime], "str | Promise | None"]
BeforeHand = Callable[[Account, datetime, Actor], None]
_obstacles: list[Obstacle] = []
_before: list[BeforeHand] = []


def register_obstacle(obstacle: Obstacle) -> None:
    """Add a reason why an account can't be deleted yet, in words for its owner. From `AppConfig.ready`."""
    _obstacles.append(obstacle)


def register_before(before: BeforeHand) -> None:
    """Add what is to be ended when a deletion is approved, in its transaction. From `AppConfig.ready`."""
    _before.append(before)


def obstacle_to(account: Account, at: datetime) -> "str | Promise | None":
    """What the owner must settle before the account can be deleted; None if there is nothing."""
    return next((found for obstacle in _obstacles if (found := obstacle(account, at))), None)


def approve(request: SupportRequest, *, by: Actor, at: datetime, override: str = "") -> Purge:
    """Approve a request for deletion: end what we bill, schedule the purge after the grace period, tell the owner.

    `override`: staff's reason to go on in spite of an obstacle, kept in the history as the fact that there was one.
    Raises `Blocked` and `NotToBeApproved`. Approving again changes nothing.
    """
    if by.kind != ActorKind.STAFF or by.user is None:
        raise NotToBeApproved("only staff approve")
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=request.account_id)
        request = SupportRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
        if request.kind != RequestKind.DELETION or request.closed_at or request.made_by_id == by.user.pk:
            raise NotToBeApproved("not an open request for deletion by somebody else")
        if already := scheduled(account):
            return already
        obstacle = obstacle_to(account, at)
        if obstacle and not override:
            raise Blocked(obstacle)
        for before in _before:
            before(account, at, by)
        due_at = at + GRACE
        found = purge.schedule(
            account,
            cause=purge.Cause.CUSTOMER_REQUEST,
            received_at=request.made_at,
            due_at=due_at,
            deadline_at=max(request.due_at or due_at, due_at),
            at=at,
            by=by,
        )
        history.record(
            account.pk,
            "deletion.approved",
            at=at,
            by=by,
            reference=request.reference,
            due_at=due_at.isoformat(),
            overridden=bool(obstacle),
        )
        _tell(account, "deletion_approved", request, at=at, due_at=due_at)
    return found


def call_off(account: Account, *, by: Actor, at: datetime) -> bool:
    """Call a deletion off, approved or not, until the erasing begins. Returns whether there was one.

    Raises `purge.TooLate` once it has begun.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        stopped = purge.call_off(account, at=at, by=by, cause=purge.Cause.CUSTOMER_REQUEST)
        request = account.requests.open().filter(kind=RequestKind.DELETION).first()
        if request is None:
            return stopped
        request.closed_at = at
        request.save(update_fields=["closed_at"])
        history.record(account.pk, "deletion.called_off", at=at, by=by, reference=request.reference)
        _tell(account, "deletion_called_off", request, at=at)
    return True


def scheduled(account: Account) -> Purge | None:
    """The deletion that was approved and not called off, as a purge; None if there is none."""
    return Purge.objects.of(account.pk).open().filter(cause=purge.Cause.CUSTOMER_REQUEST).first()


def _tell(account: Account, kind: str, request: SupportRequest, *, at: datetime, **facts: object) -> None:
    notices.queue(
        f"accounts/{kind}",
        to=[account.owner()],
        account=account,
        occasion=f"{kind}:{request.pk}",
        at=at,
        reference=request.reference,
        **facts,
    )
