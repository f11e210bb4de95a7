"""Inviting people, and taking an invitation back.

An invitation is a mail to somebody who never asked us for one, so mails are counted by the hour: of each account, and
to each address whoever invites it. Nobody who invites learns whether an address signs in here: known or unknown, the
invitation, the mail and the answer are the same. That somebody is a member already they can see on the same page.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.utils import translation
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.core import limits
from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased
from accounts.customers import history
from accounts.customers.account import Account, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.jobs import sweeps
from accounts.jobs.batches import RowsFailed, run_batches
from accounts.jobs.queues import Queue
from accounts.mail import notices
from accounts.mail.notices import Notice
from accounts.people.invitation import VALID_FOR, Invitation, hash_of

#: Mails that one account has sent within an hour, and that one address gets, from all accounts together.
MOST_OF_AN_ACCOUNT = 30
MOST_TO_AN_ADDRESS = 5
#: Kept for whoever asks what became of an invitation; then the address is nobody's business any more.
KEPT = timedelta(days=30)
RUN = timedelta(minutes=5)
BATCH = 1000
_SWEPT_EVERY = timedelta(days=1)


class AlreadyMember(Refused):
    text = _("%(who)s is a member of this account already.")


class NotOpen(Refused):
    """It was accepted or revoked meanwhile."""

    text = _("This invitation is no longer open.")


def invite(account: Account, *, email: str, role: Role, by: Actor, at: datetime) -> tuple[Invitation, bool]:
    """Ask the person with this address (canonical: `accounts.core.foreign_input.address`) in.

    Returns the invitation, and whether a mail is on its way: the same address with the same role, while its invitation
    is open, is the same invitation again. With another role, or once it has expired, it is renewed with a new mail.
    Raises `AlreadyMember`, `BeingErased`, and `TooOften`.
    """
    with transaction.atomic():
        account = _locked(account)
        place = account.memberships.filter(user__email=email).select_related("user").first()
        if place is not None:
            raise AlreadyMember(who=place.user)
        found = Invitation.objects.select_for_update(no_key=True).unanswered().filter(account=account, email=email)
        invitation = found.first() or Invitation(account=account, email=email)
        if invitation.role == role and invitation.is_open(at):
            return invitation, False
        _limit(account, email, at)
        invitation.role = role
        _send(invitation, by=by, at=at)
        history.record(
            account.pk, AccountEvent.PERSON_INVITED, at=at, by=by, invitation=str(invitation.pk), role=str(role)
        )
    return invitation, True


def resend(invitation: Invitation, *, by: Actor, at: datetime) -> None:
    """Send the mail again, with a new link and seven more days; the link before stops working.

    Raises `NotOpen`, `BeingErased`, and `TooOften`.
    """
    with transaction.atomic():
        account = _locked(invitation.account)
        invitation = _locked_unanswered(invitation)
        _limit(account, invitation.email, at)
        _send(invitation, by=by, at=at)
        history.record(account.pk, AccountEvent.INVITATION_SENT_AGAIN, at=at, by=by, invitation=str(invitation.pk))


def revoke(invitation: Invitation, *, by: Actor, at: datetime) -> bool:
    """Take it back: its link stops working at once, and a mail that waits is not sent. Returns whether that is new.

    Raises `NotOpen` for one that was accepted meanwhile, and `BeingErased`.
    """
    with transaction.atomic():
        account = _locked(invitation.account)
        row = Invitation.objects.select_for_update(no_key=True).get(pk=invitation.pk)
        if row.revoked_at:
            return False
        if row.accepted_at:
            raise NotOpen
        row.revoked_at = at
        row.save(update_fields=["revoked_at"])
        _forget_unsent(row)
        history.record(account.pk, AccountEvent.INVITATION_REVOKED, at=at, by=by, invitation=str(row.pk))
    return True


def revoke_all_to(account: Account, email: str, *, by: Actor, at: datetime) -> None:
    """Take back what is open to this address: whoever was removed doesn't come back by an invitation made before."""
    for invitation in Invitation.objects.unanswered().filter(account=account, email=email):
        revoke(invitation, by=by, at=at)


def revoke_all_by(account: Account, user: User, *, by: Actor, at: datetime) -> None:
    """Take back what is open of somebody who was removed: whom they asked in, others may not want in."""
    for invitation in Invitation.objects.unanswered().filter(account=account, invited_by=user):
        revoke(invitation, by=by, at=at)


def ended_before(at: datetime) -> "models.QuerySet[Invitation]":
    """Those whose time of being kept is over at `at`: accepted, revoked or expired thirty days before."""
    before = at - KEPT
    return Invitation.objects.filter(
        models.Q(accepted_at__lt=before) | models.Q(revoked_at__lt=before) | models.Q(expires_at__lt=before)
    )


def mails_before(at: datetime) -> "models.QuerySet[Notice]":
    """The mails to addresses of nobody, sent thirty days before `at`, when the invitation they were about has ended."""
    return Notice.objects.filter(recipient=None, sent_at__lt=at - VALID_FOR - KEPT)


def forget_ended(at: datetime) -> int:
    """Delete invitations that ended thirty days ago, and the rows of their mails. Returns how many.

    Raises `RowsFailed` for rows that resist, when all others are done: an invitation is not in the way of the mails.
    """
    done = 0
    failed = []
    for ended in (ended_before(at), mails_before(at)):
        try:
            done += run_batches(ended.order_by("pk"), _forget, batch=BATCH, run=RUN, noted=False)
        except RowsFailed as error:
            failed.append(str(error))
    if failed:
        raise RowsFailed("; ".join(failed))
    return done


def _forget(rows: "models.QuerySet[Any]", batch: int) -> int:
    with transaction.atomic():
        return rows.filter(pk__in=list(rows.values_list("pk", flat=True)[:batch])).delete()[0]


def preview(at: datetime) -> Iterator[str]:
    if count := ended_before(at).count():
        yield f"{count} invitations that ended more than {KEPT.days} days ago"


def _locked(account: Account) -> Account:
    account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    if account.purging_at:
        raise BeingErased(account.pk)
    return account


def _locked_unanswered(invitation: Invitation) -> Invitation:
    found = Invitation.objects.select_for_update(no_key=True).unanswered().filter(pk=invitation.pk).first()
    if found is None:
        raise NotOpen
    return found


def _limit(account: Account, email: str, at: datetime) -> None:
    limits.limit("invitation", account.pk, most=MOST_OF_AN_ACCOUNT, at=at)
    # The counters hold no addresses: a keyed hash tells one from the other.
    whom = salted_hmac("accounts.people.inviting", email, algorithm="sha256").hexdigest()[:40]
    limits.limit("invitation to", whom, most=MOST_TO_AN_ADDRESS, at=at)


def _send(invitation: Invitation, *, by: Actor, at: datetime) -> None:
    """Queue a mail with a new link, in the caller's transaction. A mail before it that still waits is not sent."""
    if not invitation._state.adding:
        _forget_unsent(invitation)
    invitation.invited_by, invitation.invited_at, invitation.expires_at = by.user, at, at + VALID_FOR
    invitation.mails += 1
    invitation.token_hash = hash_of(invitation.token())
    invitation.save()
    notices.queue(
        "accounts/invitation",
        to=[invitation.email],
        account=invitation.account,
        occasion=invitation.occasion(),
        at=at,
        invitation=str(invitation.pk),
        role=str(invitation.role),
        language=translation.get_language(),
        expires_at=invitation.expires_at,
    )


def _forget_unsent(invitation: Invitation) -> None:
    Notice.objects.unsent().filter(
        account=invitation.account_id, address=invitation.email, occasion=invitation.occasion()
    ).delete()


SWEEP = sweeps.Sweep(
    "invitations", run=forget_ended, preview=preview, late_after=2 * _SWEPT_EVERY, queue=Queue.SLOW, alone=True
)
