"""Signing up, where the vendor lets everybody in (`SIGN_UP=open`): the address is proven first, and only then kept.

Whoever wants to sign up is sent a link; nothing is written down until it is followed, so there is nothing to forget of
those who never come, and nobody holds an address that is not theirs. Whoever signs in here already is told so, in a
mail to the address alone: the page says the same in both cases. The link is signed and holds the address; it is void as
soon as somebody signs in by that.
"""

from datetime import datetime, timedelta

from django.core import signing
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.account import Account, Membership, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.signing_in import addresses

#: As long as allauth's own links to prove an address.
VALID_FOR = timedelta(days=3)
_SALT = "accounts.signing_in.sign_up"


class AddressTaken(Refused):
    text = _("Somebody signs in with this address already. If that is you, please sign in.")


def token_for(address: str) -> str:
    """The secret part of a link that proves this address, valid for `VALID_FOR`."""
    return signing.dumps(address, salt=_SALT)


def address_of(token: str) -> str | None:
    """The address that a link proves; None for a forged one and for one that has expired."""
    try:
        found: str = signing.loads(token, salt=_SALT, max_age=VALID_FOR)
    except signing.BadSignature:
        return None
    return found


def sign_up(address: str, *, name: str, account_name: str, password: str, at: datetime) -> Membership:
    """A new person with a proven address, and an account on Free that is theirs. Raises `AddressTaken`."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                user = User.objects.create_user(address, password, name=name)
        except IntegrityError as error:
            raise AddressTaken from error
        addresses.note_proven(user)
        account = Account.objects.create(name=account_name, created_at=at)
        place = Membership.objects.create(account=account, user=user, role=Role.OWNER, joined_at=at)
        history.record(account.pk, AccountEvent.ACCOUNT_SIGNED_UP, at=at, by=Actor.owner(user), subject=user)
    return place
