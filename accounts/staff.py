"""Members of staff, as those who do something: who may, and when it takes two of them."""

from django.utils.translation import gettext_lazy as _

from accounts.history import Actor, ActorKind
from accounts.refusal import Refused
from accounts.user import User


class StaffOnly(Refused):
    text = _("Only active members of staff can do this.")


class NeedsAnotherPerson(Refused):
    text = _("This takes two people: somebody other than the first one has to approve it.")


def staff_member(by: Actor) -> User:
    """The member of staff who acts. Raises `StaffOnly` for customers, jobs, and people who are staff no more."""
    if by.kind != ActorKind.STAFF or by.user is None or not (by.user.is_staff and by.user.is_active):
        raise StaffOnly
    return by.user
