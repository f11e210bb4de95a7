"""Members of an account: changing roles, removing, leaving.

The owner and the administrators manage all others; nobody but support and the owner's own hand-over touches the owner
(`accounts.support.ownership`), and an owner who wants to leave hands the account over first. Who may see what is read
from these rows with every request: a person who was removed is out with the next one, wherever they are signed in.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.core.write_guard import BeingErased
from accounts.customers import history
from accounts.customers.account import Account, Membership, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.events.event_types import Place
from accounts.mail import notices
from accounts.people import inviting
from accounts.signing_in import way_in
from accounts.support import ownership_proposal


class NotTheOwner(Refused):
    """What can't be done to the owner."""

    text = _("The owner can't be removed, nor be given another role: the account is handed over first.")


class OwnerStays(Refused):
    text = _("You are the owner. Hand the account over to somebody first, then you can leave it.")


class NotYours(Refused):
    """Who asks is no owner or administrator, or not any more."""

    text = _("Only the owner and the administrators of this account can do this.")


def put_in(account: Account, *, user: User, role: Role, by: Actor, at: datetime) -> bool:
    """Give somebody a place, or another role, on the word of the vendor's own system. Returns whether they had none.

    Nobody is asked: whoever is invited by people joins by a link (`accounts.people.joining`). Who is new here is told
    by mail, with a way in if they have none. The same role again changes nothing. Raises `NotTheOwner`, `BeingErased`.
    """
    with transaction.atomic():
        if user.pk in _locked(account):
            change_role(account, of=user, to=role, by=by, at=at)
            return False
        Membership.objects.create(account=account, user=user, role=role, joined_at=at)
        history.record(
            account.pk,
            AccountEvent.MEMBER_ADDED,
            at=at,
            by=by,
            subject=Place.of(user, role),
            person=user.pk,
            role=str(role),
        )
        notices.queue(
            "accounts/member_added",
            to=[user],
            account=account,
            occasion=f"added:{account.pk}:{at:%Y%m%dT%H%M%S%f}",
            at=at,
            role=str(role),
            needs_way_in=not way_in.has_way_in(user),
        )
    return True


def change_role(account: Account, *, of: User, to: Role, by: User | Actor, at: datetime) -> bool:
    """Make a member an administrator, or a user. Returns whether that changed anything; nobody is asked twice.

    `by`: a member, who has to be a manager; or the vendor's own system. Raises `NotTheOwner`, `NotYours`,
    `BeingErased`, and `Membership.DoesNotExist` for who is no member any more.
    """
    assert to != Role.OWNER
    with transaction.atomic():
        places = _locked(account)
        actor = _manager(places, by)
        place = _place_of(places, of)
        if place.is_owner:
            raise NotTheOwner
        if place.role == to:
            return False
        before, place.role = place.role, to
        place.save(update_fields=["role"])
        history.record(
            account.pk,
            AccountEvent.ROLE_CHANGED,
            at=at,
            by=actor,
            subject=Place.of(of, to),
            person=of.pk,
            role=str(to),
            role_before=str(before),
        )
    return True


def remove(account: Account, *, user: User, by: User | Actor, at: datetime) -> None:
    """Take a member out, and tell them by mail. What they made stays with the account.

    Raises as `change_role` does.
    """
    with transaction.atomic():
        places = _locked(account)
        actor = _manager(places, by)
        place = _place_of(places, user)
        if place.is_owner:
            raise NotTheOwner
        _end(place, by=actor, at=at)
        inviting.revoke_all_by(account, user, by=actor, at=at)
        history.record(
            account.pk,
            AccountEvent.PERSON_REMOVED,
            at=at,
            by=actor,
            subject=user,
            person=user.pk,
            role=str(place.role),
        )
        notices.queue(
            "accounts/member_removed",
            to=[user],
            account=account,
            occasion=f"removed:{account.pk}:{at:%Y%m%dT%H%M%S%f}",
            at=at,
        )


def leave(account: Account, *, user: User, at: datetime) -> None:
    """Go. Raises `OwnerStays`, `BeingErased`, and `Membership.DoesNotExist` for who has gone already."""
    with transaction.atomic():
        place = _place_of(_locked(account), user)
        if place.is_owner:
            raise OwnerStays
        actor = Actor.member(user)
        _end(place, by=actor, at=at)
        history.record(account.pk, AccountEvent.PERSON_LEFT, at=at, by=actor, subject=user, role=str(place.role))


def _end(place: Membership, *, by: Actor, at: datetime) -> None:
    """With the place go what would bring them back: an invitation made before, an ownership offered to them."""
    place.delete()
    inviting.revoke_all_to(place.account, place.user.email, by=by, at=at)
    ownership_proposal.void_for(place.account, place.user, by=by, at=at)


def _locked(account: Account) -> dict[int, Membership]:
    account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    if account.purging_at:
        raise BeingErased(account.pk)
    places = account.memberships.select_for_update(no_key=True, of=("self",)).select_related("user", "account")
    return {place.user_id: place for place in places}


def _manager(places: dict[int, Membership], user: User | Actor) -> Actor:
    """Who acts, as the rows say under the lock: somebody may have been demoted since their page was made.

    The vendor's own system is no member: what it may do its token says (`accounts.api`).
    """
    if isinstance(user, Actor):
        return user
    place = places.get(user.pk)
    if place is None or not place.is_manager:
        raise NotYours
    return Actor.owner(user) if place.is_owner else Actor.member(user)


def _place_of(places: dict[int, Membership], user: User) -> Membership:
    if user.pk not in places:
        raise Membership.DoesNotExist
    return places[user.pk]
