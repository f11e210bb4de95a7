"""Members of staff, as those who do something: who may, and when it takes two of them."""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.refusal import Refused
from accounts.customers.account import Membership
from accounts.customers.history import Actor, ActorKind
from accounts.customers.user import User


class StaffOnly(Refused):
    text = _("Only active members of staff can do this.")


class NeedsAnotherPerson(Refused):
    text = _("This takes two people: somebody other than the first one has to approve it.")


class OwnAccount(Refused):
    text = _("You belong to this account yourself. Please ask a colleague: nobody decides about their own.")


def leads() -> "models.QuerySet[User]":
    """Everybody who can decide what a lead decides."""
    is_lead = models.Q(is_superuser=True) | models.Q(groups__name=roles.LEAD)
    return User.objects.filter(is_lead, is_staff=True, is_active=True).distinct()


def staff_member(by: Actor, account_id: uuid.UUID | None) -> User:
    """The member of staff who does something to this account; None: to nobody's.

    Raises `StaffOnly` for customers, jobs, and people who are staff no more, and `OwnAccount` for staff who belong to
    the account themselves, in whichever role: they are its customers, and decide nothing about it.
    """
    if by.kind != ActorKind.STAFF or by.user is None or not (by.user.is_staff and by.user.is_active):
        raise StaffOnly
    if account_id and Membership.objects.filter(account_id=account_id, user=by.user).exists():
        raise OwnAccount
    return by.user
