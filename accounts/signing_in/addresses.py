"""Whose an address is: it counts once it has been proven.

Proven is an address from which a link of ours was followed, or which GitHub says is verified. Until then it opens
nothing: nobody signs in by it, and no account is handed over to whoever claims it. django-allauth keeps the rows.
"""

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.customers.user import User


def is_proven(user: User) -> bool:
    """Whether the address by which this person signs in has been proven to be theirs."""
    return bool(EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists())


def note_proven(user: User) -> bool:
    """Write down that this person has proven their address; claims of it by others are void. Returns if that is new.

    Other addresses of theirs, such as one that a change was begun to, are forgotten: they have one.
    """
    with transaction.atomic():
        new = not is_proven(user)
        # A claim that nobody proved, of this address or by this person, is worth nothing any more.
        EmailAddress.objects.filter(email=user.email, verified=False).exclude(user=user).delete()
        EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
        EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    return new


def forget_claims(address: str) -> None:
    """Forget who began a change to this address without proving it: somebody else has proven it just now."""
    taken = User.objects.filter(email=address.lower()).values("pk")
    EmailAddress.objects.filter(email=address.lower(), verified=False).exclude(user__in=taken).delete()


def is_taken(address: str, *, by_other_than: User | None = None) -> bool:
    """Whether somebody signs in by this address, proven or not."""
    others = User.objects.exclude(pk=by_other_than.pk) if by_other_than else User.objects.all()
    return others.filter(email=address.lower()).exists()
