"""Registration: a buyer comes from AWS with a token, and ends up with an account here.

The token is resolved at once, and what AWS answers stays here: the browser carries only an opaque key, so nobody can
name an AWS account that is not theirs (facts/aws-marketplace, 2.5). A registration belongs to whoever finishes it:
again by the same person it is harmless, by another one it is refused.
"""

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.core.write_guard import refused_while_erasing
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.models import Account, Membership, Role, User
from marketplace import tombstone
from marketplace.aws import client, matching, purchases
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.vocabulary import Names
from marketplace.event_kinds import MarketplaceEvent
from marketplace.tombstone import Marketplace

#: AWS answers the same for a token for so long (facts/aws-marketplace, 2.5); from then on the buyer comes again from
#: AWS.
VALID_FOR = timedelta(hours=4)
#: What nobody has finished is forgotten after so long.
FORGOTTEN_AFTER = timedelta(days=7)
#: What AWS posts for a free trial.
FREE_TRIAL = "free-trial"
MAX_NAME = 200


class OtherProduct(Exception):
    """The token is for a product that is not sold here."""


class Expired(Exception):
    """The registration was begun too long ago."""


class TakenByAnother(Exception):
    """Somebody else has finished this registration, or the purchase belongs to an account that is not this person's."""


class AccountNotOffered(Exception):
    """A purchase can't be linked to the account that was chosen."""


class Registration(models.Model):
    """A token that was resolved: who bought what, as AWS says. Finished by one person, once."""

    #: The hash of the key (`hash_of`): the key itself stands for the buyer, and is in the buyer's browser alone.
    key = models.CharField(_("key"), max_length=64, unique=True, editable=False)
    agreement_id = models.CharField(_("agreement"), max_length=64, blank=True)
    licence_id = models.CharField(_("licence"), max_length=64, blank=True)
    aws_account_id = models.CharField(_("AWS account"), max_length=12)
    customer_identifier = models.CharField(_("customer identifier"), max_length=64, blank=True)
    product_code = models.CharField(_("product code"), max_length=64)
    on_trial = models.BooleanField(_("free trial"), default=False)
    resolved_at = models.DateTimeField(_("resolved"))
    expires_at = models.DateTimeField(_("expires"))
    #: When a browser took the key over into its session: from then on the key opens nothing any more.
    opened_at = models.DateTimeField(_("opened"), null=True, blank=True)
    used_at = models.DateTimeField(_("finished"), null=True, blank=True)
    used_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("finished by")
    )
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("account")
    )

    #: The key itself, to whoever has resolved the token just now; nobody can learn it later.
    one_time_key = ""

    objects: ClassVar[models.Manager["Registration"]] = models.Manager()

    class Meta:
        verbose_name = _("AWS registration")
        verbose_name_plural = _("AWS registrations")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("resolved_at")), name="registration_expires_later"
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=models.Q(used_at=None), name="registration_unused"),
            models.Index(fields=["aws_account_id"], name="registration_by_aws_account"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return f"{self.aws_account_id} {self.resolved_at:%Y-%m-%d}"

    @property
    def names(self) -> Names:
        return Names(
            agreement_id=self.agreement_id,
            licence_id=self.licence_id,
            aws_account_id=self.aws_account_id,
            customer_identifier=self.customer_identifier,
            product_code=self.product_code,
        )

    def ids(self) -> list[str]:
        """The ids that AWS named, each belonging to one purchase alone."""
        return [known for known in (self.agreement_id, self.licence_id) if known]


def resolve(token: str, *, on_trial: bool, at: datetime) -> Registration:
    """Ask AWS who comes with this token, and keep the answer. A call: outside of transactions.

    Raises `api.InvalidToken`, `api.ExpiredToken`, the other kinds of `api.ApiError`, and `OtherProduct`.
    """
    names = client.resolve_customer(token, at=at)
    if names.product_code not in settings.AWS_PRODUCT_CODES:
        raise OtherProduct(names.product_code)
    if not names.aws_account_id:
        raise client.AwsUnavailable("resolve_customer: an answer without an AWS account")
    key = secrets.token_urlsafe(32)
    found = Registration.objects.create(
        key=hash_of(key),
        # Of a customer AWS tells neither product id nor offer.
        **names.known(),
        on_trial=on_trial,
        resolved_at=at,
        expires_at=at + VALID_FOR,
    )
    found.one_time_key = key
    return found


def hash_of(key: str) -> str:
    """What is stored of a key. It has 256 random bits: nothing is gained by hashing it slowly."""
    return hashlib.sha256(key.encode()).hexdigest()


def open_by_key(key: str, *, at: datetime) -> Registration | None:
    """The registration of this key, for the session that opens it first. None: there is none, or it was opened."""
    opened = Registration.objects.filter(key=hash_of(key), opened_at=None, expires_at__gt=at).update(opened_at=at)
    return Registration.objects.get(key=hash_of(key)) if opened else None


def accounts_to_choose(user: User, at: datetime) -> list[Account]:
    """The accounts that this person owns and that a purchase may be linked to."""
    owned = Account.objects.filter(memberships__user=user, memberships__role=Role.OWNER).order_by("name", "id")
    return [account for account in owned if purchases.is_free_for_a_purchase(account, at)]


def account_of(registration: Registration) -> Account | None:
    """The account that the purchase is linked to already; None if it is not."""
    ids = registration.ids()
    known = Q(agreement_id__in=ids) | Q(licence_id__in=ids) | Q(former_ids__overlap=ids)
    rows = AwsAgreement.objects.registered().filter(known, account__purging_at=None).select_related("account")
    row = rows.first()
    return row.account if row else None


def new_name(user: User) -> str:
    """What to call another account of this person: after the first one, with a number."""
    first = Account.objects.filter(memberships__user=user, memberships__role=Role.OWNER).order_by("created_at").first()
    if first is None:
        return (user.name or user.email.split("@")[0])[:MAX_NAME]
    number = 2
    while Account.objects.filter(memberships__user=user, name=f"{first.name} ({number})").exists():
        number += 1
    return f"{first.name[: MAX_NAME - 8]} ({number})"


def finish(
    registration: Registration, *, by: User, account_id: uuid.UUID | None = None, name: str = "", at: datetime
) -> tuple[Account, AwsAgreement]:
    """Link the purchase to this person's account, or to a new one of this name. Once more by them changes nothing.

    Nothing is granted that AWS has not confirmed: ask it afterwards (`truth.check`). Raises `Expired`,
    `TakenByAnother`, `AccountNotOffered`, and `holding.Conflict`; then nothing has changed.
    """
    with transaction.atomic():
        matching.lock(registration.names, ids=registration.ids(), account_id=account_id)
        registration = Registration.objects.select_for_update(no_key=True).get(pk=registration.pk)
        if registration.used_at and registration.used_by_id != by.pk:
            raise TakenByAnother
        if not registration.used_at and at >= registration.expires_at:
            raise Expired
        row = _purchase(registration, at)
        if row.account is None:
            _link(row, _chosen(by, account_id, name, at), by, at, new_account=account_id is None)
        elif not Membership.objects.filter(account=row.account, user=by).exists():
            raise TakenByAnother
        account = row.account
        assert account is not None
        for known in registration.ids():
            # The buyer is back, with an account again.
            tombstone.lift(Marketplace.AWS, known)
        if registration.used_at is None:
            registration.used_at, registration.used_by, registration.account = at, by, account
            registration.save(update_fields=["used_at", "used_by", "account"])
            row.on_trial = row.on_trial or registration.on_trial
            row.ask(at)
            row.save()
        purchases.bring_in_line(row, at=at)
    return account, row


def forget_unfinished(at: datetime) -> int:
    """Delete what nobody finished: registrations that expired long ago, and purchases that ended unregistered.

    Returns how many. What AWS tells of buyers who never came is kept no longer than the messages themselves.
    """
    stale = Registration.objects.filter(used_at=None, expires_at__lte=at - FORGOTTEN_AFTER)
    long_ago = at - timedelta(days=settings.DELIVERY_BODY_DAYS)
    never_came = AwsAgreement.objects.filter(account=None, event_at__lte=long_ago).exclude(
        pk__in=AwsAgreement.objects.running().values("pk")
    )
    return sum(rows.delete()[0] for rows in (stale, never_came))


def _purchase(registration: Registration, at: datetime) -> AwsAgreement:
    """The purchase that was registered: one that we have heard of, or a new row."""
    if registration.account_id:
        ids = registration.ids()
        known = Q(agreement_id__in=ids) | Q(licence_id__in=ids) | Q(former_ids__overlap=ids)
        if done := AwsAgreement.objects.filter(known, account_id=registration.account_id).first():
            return done
    found = matching.find(registration.names)
    row = found.one or AwsAgreement(first_heard_at=at)
    if not found.is_old:
        matching.add_names(row, registration.names)
    matching.gather(row)
    return row


def _chosen(user: User, account_id: uuid.UUID | None, name: str, at: datetime) -> Account:
    if account_id is None:
        account = Account.objects.create(name=(name.strip() or new_name(user))[:MAX_NAME], created_at=at)
        Membership.objects.create(account=account, user=user, role=Role.OWNER, joined_at=at)
        return account
    place = Membership.objects.filter(account_id=account_id, user=user, role=Role.OWNER).first()
    if place is None:
        raise AccountNotOffered
    account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
    if not purchases.is_free_for_a_purchase(account, at):
        raise AccountNotOffered
    return account


def _link(row: AwsAgreement, account: Account, user: User, at: datetime, *, new_account: bool) -> None:
    row.account, row.registered_at = account, at
    row.save()
    history.record(
        account.pk,
        MarketplaceEvent.AWS_REGISTERED,
        at=at,
        by=Actor.owner(user),
        subject=user if new_account else None,
        agreement=row.pk,
    )
