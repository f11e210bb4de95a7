"""Joining an account by an invitation.

Whoever has followed the link in the mail has proven the address. Somebody who signs in by it joins; somebody new
becomes a person with it. Nobody joins by an invitation to another address than their own: links are forwarded, and
whoever invited named a person, not a link.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.account import Account, Membership
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.events.event_types import Place
from accounts.people.invitation import Invitation
from accounts.signing_in import addresses


class CannotJoin(Refused):
    """The invitation is none any more, or its account takes nobody in just now."""

    text = _("This invitation is no longer valid. Ask whoever invited you for a new one.")


class AccountClosed(CannotJoin):
    text = _("This account takes nobody in at the moment. Ask whoever invited you.")


class OtherAddress(CannotJoin):
    text = _("This invitation was sent to another address than the one by which you are signed in.")


class NotAllowed(CannotJoin):
    text = _("Nobody can join by this address at the moment. Please write to us.")


class InvitedAddressTaken(Refused):
    """Somebody has become a person with this address meanwhile."""

    text = _("Somebody signs in with this address already. If that is you, please sign in.")


def obstacle_to(invitation: Invitation, at: datetime) -> CannotJoin | None:
    """Why nobody can join by it at `at`, whoever they are; None if they can."""
    if not invitation.is_open(at):
        return CannotJoin()
    account = invitation.account
    if account.purging_at or account.deactivated_at:
        return AccountClosed()
    return None


def join(invitation: Invitation, *, user: User, at: datetime) -> tuple[Membership, bool]:
    """Make the person whom it was sent to a member. Returns their place, and whether it is new.

    Twice is once: a member stays what they are, in the role that they have. The caller has seen that this person
    followed the link, or has proven the address before. Raises `CannotJoin`, or one of those that are.
    """
    with transaction.atomic():
        invitation = _locked(invitation)
        if user.email != invitation.email:
            raise OtherAddress
        place = Membership.objects.filter(account=invitation.account, user=user).first()
        if place is not None:
            if invitation.is_open(at):
                _accept(invitation, at)
            return place, False
        if obstacle := obstacle_to(invitation, at):
            raise obstacle
        if not User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).exists():
            raise NotAllowed
        addresses.note_proven(user)
        place = _place(invitation, user, at)
    return place, True


def join_as_newcomer(invitation: Invitation, *, name: str, password: str, at: datetime) -> Membership:
    """A new person with the invitation's address, proven by its link. Raises `InvitedAddressTaken`, `CannotJoin`."""
    with transaction.atomic():
        invitation = _locked(invitation)
        if obstacle := obstacle_to(invitation, at):
            raise obstacle
        if addresses.is_taken(invitation.email):
            raise InvitedAddressTaken
        try:
            with transaction.atomic():
                user = User.objects.create_user(invitation.email, password, name=name)
        except IntegrityError as error:
            # In the same moment, through another door.
            raise InvitedAddressTaken from error
        addresses.note_proven(user)
        return _place(invitation, user, at)


def _locked(invitation: Invitation) -> Invitation:
    """The invitation as it is now, its account and its row locked in that order. Raises `CannotJoin` if it is gone."""
    account = Account.objects.select_for_update(no_key=True).filter(pk=invitation.account_id).first()
    row = Invitation.objects.select_for_update(no_key=True).filter(pk=invitation.pk).first()
    if account is None or row is None:
        raise CannotJoin
    row.account = account
    return row


def _place(invitation: Invitation, user: User, at: datetime) -> Membership:
    try:
        with transaction.atomic():
            place = Membership.objects.create(account=invitation.account, user=user, role=invitation.role, joined_at=at)
    except IntegrityError as error:
        # They are being erased with another account just now: `people_who_go_stay_out`.
        raise NotAllowed from error
    _accept(invitation, at)
    history.record(
        invitation.account_id,
        AccountEvent.PERSON_JOINED,
        at=at,
        by=Actor.member(user),
        subject=Place.of(user, invitation.role),
        invitation=str(invitation.pk),
        role=str(invitation.role),
    )
    return place


def _accept(invitation: Invitation, at: datetime) -> None:
    invitation.accepted_at = at
    invitation.save(update_fields=["accepted_at"])
