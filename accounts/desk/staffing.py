"""Who works at the support desk, and in which role: made so, changed, and no longer.

One person of the customer side is never staff as well: staff decide about accounts, and nobody decides about their own.
"""

from dataclasses import dataclass
from datetime import datetime

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.account import Membership, Role
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.staff import leads
from accounts.customers.user import User
from accounts.erasure.people import DepartingPerson
from accounts.mail import notices
from accounts.signing_in import session, way_in
from accounts.support.requests import SupportRequest


class StaffRole(models.TextChoices):
    AGENT = "agent", _("Support agent")
    LEAD = "lead", _("Support lead")
    NONE = "none", _("no staff")


#: The group of each role; the migrations make them.
GROUPS = {StaffRole.AGENT: roles.AGENT, StaffRole.LEAD: roles.LEAD}


class NobodySuch(Refused):
    text = _("Nobody signs in with this address.")


class MayNotSignIn(Refused):
    text = _("This person may not sign in: their data is being erased, or somebody has switched their sign-in off.")


class OwnsAccount(Refused):
    text = _("This person owns the account “%(account)s”: hand it over first. Staff don't own accounts.")


class LastLead(Refused):
    text = _(
        "This is the last support lead. Name another one first: without a lead nobody can approve deletions and "
        "refunds, or change plans."
    )


@dataclass(frozen=True)
class Staffed:
    """How it ended: who it is, and whether anything changed."""

    user: User
    is_new: bool
    changed: bool


def role_of(user: User) -> StaffRole:
    """In which role somebody works at the desk; a superuser is a lead, too."""
    if not user.is_staff:
        return StaffRole.NONE
    groups = set(user.groups.values_list("name", flat=True))
    if user.is_superuser or roles.LEAD in groups:
        return StaffRole.LEAD
    return StaffRole.AGENT if roles.AGENT in groups else StaffRole.NONE


def set_role(email: str, role: StaffRole, *, by: Actor, at: datetime) -> Staffed:
    """Have the person with this address (canonical) work at the desk in this role, or no longer.

    Whoever is new here is created, and mailed a way in; others are told, and sign in as they do already. Whoever is no
    longer staff is signed out everywhere at once, and their open requests are nobody's again. The same again changes
    nothing and tells nobody. Raises `OwnsAccount`, `MayNotSignIn`, `LastLead`; and `NobodySuch` where there is nobody
    to be staff no more.
    """
    with transaction.atomic():
        # One change of staff at a time: of two leads who go at the same instant one is the last.
        Group.objects.select_for_update().get(name=roles.LEAD)
        user = User.objects.select_for_update(no_key=True).filter(email=email).first()
        if role == StaffRole.NONE:
            if user is None:
                raise NobodySuch
            return Staffed(user, is_new=False, changed=_let_go(user, by=by, at=at))
        if is_new := user is None:
            user = User.objects.create_user(email, joined_at=at)
        _refuse_customers(user)
        before = role_of(user)
        if before == role:
            return Staffed(user, is_new=False, changed=False)
        if before == StaffRole.LEAD:
            _refuse_last_lead(user)
        _put(user, role, by=by, at=at)
        notices.queue(
            "accounts/made_staff",
            to=[user],
            account=None,
            occasion=f"staff:{user.pk}:{at:%Y%m%dT%H%M%S%f}",
            at=at,
            role=str(role),
            is_change=before != StaffRole.NONE,
            needs_way_in=not way_in.has_way_in(user),
        )
    return Staffed(user, is_new=is_new, changed=True)


def reset_second_factor(email: str, *, by: Actor, at: datetime) -> bool:
    """Have a member of staff who has lost theirs set up a second factor anew at the next sign-in to the desk.

    Their authenticator and their recovery codes are removed, they are signed out everywhere, and told by mail; the
    password stays. Returns whether there was one. For whoever runs the servers, once they know who asks: never for
    staff to do to each other. Raises `NobodySuch` for who is no staff: a customer asks support.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).filter(email=email, is_staff=True).first()
        if user is None:
            raise NobodySuch
        if not Authenticator.objects.filter(user=user).exists():
            return False
        Authenticator.objects.filter(user=user).delete()
        session.end_all(user)
        history.record(None, AccountEvent.DESK_SECOND_FACTOR_RESET, at=at, by=by, person=user.pk)
        notices.queue(
            "accounts/second_factor_reset",
            to=[user],
            account=None,
            occasion=f"second-factor:{user.pk}:{at:%Y%m%dT%H%M%S%f}",
            at=at,
        )
    return True


def _refuse_customers(user: User) -> None:
    if not user.is_active or DepartingPerson.objects.filter(user_id=user.pk).exists():
        raise MayNotSignIn
    owned = Membership.objects.filter(user=user, role=Role.OWNER).select_related("account").first()
    if owned:
        raise OwnsAccount(account=owned.account)


def _refuse_last_lead(user: User) -> None:
    if not leads().exclude(pk=user.pk).exists():
        raise LastLead


def _let_go(user: User, *, by: Actor, at: datetime) -> bool:
    if not (user.is_staff or user.is_superuser or user.groups.filter(name__in=GROUPS.values()).exists()):
        return False
    if leads().filter(pk=user.pk).exists():
        _refuse_last_lead(user)
    _put(user, StaffRole.NONE, by=by, at=at)
    leave_desk(user, by=by, at=at)
    return True


def leave_desk(user: User, *, by: Actor, at: datetime) -> None:
    """What ends with somebody's work at the desk: every session, and that requests wait for them alone."""
    session.end_all(user)
    for request in SupportRequest.objects.open().assigned_to(user).select_for_update(no_key=True):
        request.assigned_to = request.assigned_at = None
        request.save(update_fields=["assigned_to", "assigned_at"])
        history.record(
            request.account_id,
            AccountEvent.REQUEST_ASSIGNED,
            at=at,
            by=by,
            reference=request.reference,
            assigned_to=None,
        )


def _put(user: User, role: StaffRole, *, by: Actor, at: datetime) -> None:
    user.is_staff = role != StaffRole.NONE
    # Whoever may do everything would still be a lead, whatever their group says.
    user.is_superuser = user.is_superuser and role == StaffRole.LEAD
    user.save(update_fields=["is_staff", "is_superuser"])
    user.groups.remove(*Group.objects.filter(name__in=GROUPS.values()))
    if role in GROUPS:
        user.groups.add(Group.objects.get(name=GROUPS[role]))
    history.record(
        None,
        AccountEvent.DESK_STAFF_CHANGED,
        at=at,
        by=by,
        person=user.pk,
        may_sign_in=user.is_active,
        is_staff=user.is_staff,
        roles=sorted(user.groups.values_list("name", flat=True)),
    )
