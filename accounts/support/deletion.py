"""The customer's own way to a purge: a request to support, two members of staff, a grace period, and an undo.

Cancelling a subscription never deletes (facts/cancelling, 2); deletion is asked for by the owner on the Support page,
who is answered within one month (GDPR art. 12(3)). One member of staff sees to it that it is the owner who asks, and
proposes it; another one approves. From then on everything stands for a few days more, with a banner and an undo on
every page. Then the purge is due (`accounts.erasure.purge`).

What must be settled before, the apps above declare: a subscription that is billed elsewhere is an obstacle, which
staff can override with a reason. What we bill is not renewed from the approval on, and ended only when the erasing
begins (`accounts.erasure.purge.BEFORE_ERASING`): until then what was paid for is there, and calling the deletion off
brings all of it back.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.registry import Registry, function_name
from accounts.core.text import wording
from accounts.customers import history
from accounts.customers.account import Account
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, OwnAccount, staff_member
from accounts.customers.user import User
from accounts.erasure import scheduling
from accounts.erasure.obligation import PurgeCause
from accounts.erasure.purge import Purge
from accounts.mail import notices
from accounts.support.deletion_proposal import MAX_OVERRIDE, DeletionProposal
from accounts.support.identity import FACTS_NEEDED, proven
from accounts.support.requests import RequestKind, RequestOutcome, SupportRequest, conclude, locked

#: Between the approval and the purge: time to notice a mistake, or somebody else's hand.
GRACE = timedelta(days=7)
#: Where that does not fit into the legal month any more it is shortened, but never to less than this.
SHORTEST_GRACE = timedelta(days=1)


class Blocked(Refused):
    """Something must be settled first. Says what to tell the customer."""


class NotToBeApproved(Refused):
    """The request is closed, is none for deletion, or there is nothing to approve yet."""

    text = _("This is not an open request for deletion.")


Obstacle = Callable[[Account, datetime], "str | Promise | None"]
#: Does something about what renews by itself, in the caller's transaction. Returns what the mail says of it.
AboutRenewal = Callable[[Account, datetime, Actor], "Mapping[str, object]"]


@dataclass(frozen=True)
class Renewal:
    """What is not renewed any more once a deletion is approved, and how it goes on if that is called off."""

    name: str
    stop: AboutRenewal
    resume: AboutRenewal


#: Reasons why an account can't be deleted yet, in words for its owner.
OBSTACLES: Registry[Obstacle] = Registry(key=function_name)
RENEWALS: Registry[Renewal] = Registry()


def obstacle_to(account: Account, at: datetime) -> "str | Promise | None":
    """What the owner must settle before the account can be deleted; None if there is nothing."""
    return next((found for obstacle in OBSTACLES.all() if (found := obstacle(account, at))), None)


def propose(
    request: SupportRequest, *, by: Actor, at: datetime, identity: Iterable[str] = (), override: str = ""
) -> tuple[DeletionProposal, bool]:
    """Say, as the first of two, that a request for deletion is genuine. Nothing happens until the second approves.

    Of a request that the present owner made while signed in nothing more needs proof; of any other one say which facts
    were compared (`accounts.support.identity`). `override`: the reason to go on in spite of an obstacle. Returns the
    proposal, and whether it is new. Raises `Blocked`, `NotIdentified`, `NotToBeApproved`, `StaffOnly`, `TextTooLong`.
    """
    staff = staff_member(by, request.account_id)
    override = wording(override, limit=MAX_OVERRIDE) if override.strip() else ""
    with transaction.atomic():
        request = _locked(request, staff)
        if standing := request.proposals.standing().first():
            return standing, False
        owner = request.account.owner()
        genuine = owner is not None and request.made_by_id == owner.pk and not request.on_behalf
        compared = [*request.identity, *identity]
        _unobstructed(request.account, at, override)
        proposal = DeletionProposal.objects.create(
            request=request,
            requested_by=request.made_by,
            proposed_by=staff,
            proposed_at=at,
            identity=proven(compared, at_least=0 if genuine else FACTS_NEEDED),
            override=override,
        )
        history.record(
            request.account_id,
            AccountEvent.DELETION_PROPOSED,
            at=at,
            by=by,
            reference=request.reference,
            identity=proposal.identity,
            overridden=bool(override),
        )
    return proposal, True


def take_back(request: SupportRequest, *, by: Actor, at: datetime) -> bool:
    """Take a proposal back, or send it back as the second person. The request stays. Returns whether there was one.

    Raises `NotToBeApproved` for one that has been approved: that is called off.
    """
    staff_member(by, request.account_id)
    with transaction.atomic():
        request = locked(request)
        proposal = request.proposals.standing().first()
        if proposal is None:
            return False
        if proposal.approved_at:
            raise NotToBeApproved(_("This deletion has been approved already. It can be called off."))
        proposal.withdrawn_at = at
        proposal.save(update_fields=["withdrawn_at"])
        history.record(request.account_id, AccountEvent.DELETION_SENT_BACK, at=at, by=by, reference=request.reference)
    return True


def approve(request: SupportRequest, *, by: Actor, at: datetime, override: str = "") -> Purge:
    """Approve, as the second of two: stop what renews, schedule the purge after the grace period, tell the owner.

    `override`: staff's reason to go on in spite of an obstacle that the first one did not know of. Approving again
    changes nothing. Raises `Blocked`, `NotToBeApproved`, `NeedsAnotherPerson`, `StaffOnly`, `TextTooLong`.
    """
    staff = staff_member(by, request.account_id)
    override = wording(override, limit=MAX_OVERRIDE) if override.strip() else ""
    with transaction.atomic():
        request = _locked(request, staff)
        account = request.account
        proposal = request.proposals.standing().first()
        if staff.pk in (request.made_by_id, proposal and proposal.proposed_by_id):
            raise NeedsAnotherPerson
        if already := scheduled(account):
            return already
        if proposal is None:
            raise NotToBeApproved(_("Nobody has proposed this deletion yet: that is the first step."))
        proposal.override = proposal.override or override
        obstacle = _unobstructed(account, at, proposal.override)
        stopped: dict[str, object] = {}
        for renewal in RENEWALS.all():
            stopped |= renewal.stop(account, at, by)
        due_at, deadline_at = dates_of(request, at)
        found = scheduling.schedule(
            account,
            cause=PurgeCause.CUSTOMER_REQUEST,
            received_at=request.made_at,
            due_at=due_at,
            deadline_at=deadline_at,
            at=at,
            by=by,
        )
        proposal.approved_at, proposal.approved_by = at, staff
        proposal.save(update_fields=["approved_at", "approved_by", "override"])
        request.decided_at = request.answered_at = at
        request.save(update_fields=["decided_at", "answered_at"])
        history.record(
            account.pk,
            AccountEvent.DELETION_APPROVED,
            at=at,
            by=by,
            reference=request.reference,
            due_at=due_at.isoformat(),
            proposed_by=proposal.proposed_by_id,
            overridden=bool(obstacle),
        )
        _tell(account, "deletion_approved", request, at=at, due_at=found.due_at, **stopped)
    return found


def dates_of(request: SupportRequest, at: datetime) -> tuple[datetime, datetime]:
    """From when on, and until when, the data is erased of a request that is approved at `at`.

    Within the legal month (GDPR art. 12(3)), with the time that an erasing takes to spare: the grace period is
    shortened to fit. Approved in the last hours of the month, the customer was answered in time and still has a day;
    then the deadline gives way. Approved after it, it is late, and its certificate says so.
    """
    lead = timedelta(hours=settings.PURGE_LEAD_HOURS)
    legal = request.due_at or at + GRACE + lead
    due_at = min(at + GRACE, max(at + SHORTEST_GRACE, legal - lead))
    if at > legal:
        return due_at, due_at
    return due_at, max(legal, due_at + lead)


def call_off(account: Account, *, by: Actor, at: datetime) -> bool:
    """Call a deletion off, approved or not, until the erasing begins. Returns whether there was one.

    Raises `scheduling.TooLate` once it has begun.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        stopped = scheduling.call_off(account, at=at, by=by, cause=PurgeCause.CUSTOMER_REQUEST)
        request = account.requests.open().filter(kind=RequestKind.DELETION).first()
        if request is None:
            return stopped
        resumed: dict[str, object] = {}
        for renewal in RENEWALS.all():
            resumed |= renewal.resume(account, at, by)
        conclude(request, outcome=RequestOutcome.CALLED_OFF, by=by, at=at)
        history.record(account.pk, AccountEvent.DELETION_CALLED_OFF, at=at, by=by, reference=request.reference)
        # What else obliges us stands: a marketplace's thirty days are not forgotten, and the mail says so.
        stands = Purge.objects.of(account.pk).open().first()
        erased = {"due_at": stands.due_at} if stands else {}
        _tell(account, "deletion_called_off", request, at=at, **erased, **resumed)
    return True


def approval_of(account_id: uuid.UUID) -> DeletionProposal | None:
    """The approval on which this account's data is to be erased; None if no deletion stands approved."""
    approved = DeletionProposal.objects.standing().filter(approved_at__isnull=False)
    return approved.filter(request__account=account_id, request__closed_at=None).first()


def scheduled(account: Account) -> Purge | None:
    """The deletion that was approved and not called off, as a purge, which may be due sooner for another cause."""
    return Purge.objects.of(account.pk).open().because_of(PurgeCause.CUSTOMER_REQUEST).first()


def under_way(request: SupportRequest) -> "Promise | None":
    """What keeps a request for deletion from being closed: once approved it is carried out, or called off."""
    if request.kind == RequestKind.DELETION and scheduled(request.account):
        return _("This deletion has been approved. Call it off first.")
    return None


def _locked(request: SupportRequest, staff: User) -> SupportRequest:
    """The request as it is now, if `staff` may have a say in it: it is open, for deletion, and of somebody else."""
    request = locked(request)
    if request.kind != RequestKind.DELETION or request.closed_at:
        raise NotToBeApproved
    if request.made_by_id == staff.pk and not request.on_behalf:
        # Made by somebody who has left the account since.
        raise OwnAccount
    return request


def _unobstructed(account: Account, at: datetime, override: str) -> "str | Promise | None":
    """The obstacle that is overridden, if there is one. Raises `Blocked` if there is, and no reason to go on."""
    obstacle = obstacle_to(account, at)
    if obstacle and not override:
        raise Blocked(obstacle)
    return obstacle


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
