"""The customer: an account and the people in it."""

import uuid
from datetime import datetime

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core import clock, roles
from accounts.core.external_ids import ExternalId
from accounts.core.search_fields import SearchWords, no_controls
from accounts.core.versions import counts_versions
from accounts.core.write_guard import BeingErased, people_who_go_stay_out, refused_while_erasing
from accounts.customers.user import User

#: Longest name of an account.
MAX_ACCOUNT_NAME = 200


class AccountQuerySet(models.QuerySet["Account"]):
    def of(self, user: User) -> "AccountQuerySet":
        """The accounts that this person is a member of, in the order of their names."""
        return self.filter(memberships__user=user).order_by("name", "id")

    def locked(self, account_id: uuid.UUID) -> "Account":
        """The account as it is now, held against other transitions until the transaction ends. Raises `BeingErased`."""
        found = self.select_for_update(no_key=True).filter(pk=account_id).first()
        if found is None or found.purging_at:
            raise BeingErased(account_id)
        return found

    def owners(self) -> "dict[uuid.UUID, User]":
        """The owner of each of these accounts, by the account's id; accounts without members are left out."""
        places = Membership.objects.filter(account__in=self, role=Role.OWNER).select_related("user")
        return {place.account_id: place.user for place in places}


class Account(models.Model):
    """A customer, person or company. What it may do is asked of `accounts.customers.entitlements`, never stored
    here.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=MAX_ACCOUNT_NAME)
    #: What the vendor's own systems call this customer.
    external_id = ExternalId()
    #: By which staff find it (`accounts.desk.account_page.search`).
    words = SearchWords(source="name")
    created_at = models.DateTimeField(_("created"), default=clock.now, editable=False)
    #: Set while the account is switched off, because a marketplace said that the customer has left.
    deactivated_at = models.DateTimeField(_("deactivated"), null=True, blank=True, editable=False)
    #: Until then a deactivated account can still come back with everything in it.
    returnable_until = models.DateTimeField(_("can come back until"), null=True, blank=True, editable=False)
    #: Set when a purge begins: from then on nothing may be written to the account, and there is no way back.
    purging_at = models.DateTimeField(_("being erased"), null=True, blank=True, editable=False)
    #: How often the row has been changed; counted by the database.
    version = models.PositiveIntegerField(_("version"), default=1, db_default=1, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="accounts", verbose_name=_("members"))

    objects = AccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        permissions = roles.PERMISSIONS
        indexes = [
            models.Index(fields=["name"], name="account_by_name"),
            # The lists of the API.
            models.Index(fields=["created_at", "id"], name="account_by_creation"),
            SearchWords.index("words", name="account_by_words"),
        ]
        constraints = [no_controls("name", name="account_name_is_one_line"), *ExternalId.rules("account")]
        triggers = [counts_versions()]

    def __str__(self) -> str:
        return self.name

    def owner(self) -> User | None:
        """The one owner; None only for an account that has no members yet."""
        return User.objects.filter(memberships__account=self, memberships__role=Role.OWNER).first()


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Administrator")
    USER = "user", _("User")


class Membership(models.Model):
    """One person's place in one account.

    An account that has members has exactly one owner: a partial unique index forbids two, a constraint trigger,
    checked at commit so that ownership can be handed over in one transaction, forbids none.
    """

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("account")
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("person"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    joined_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField(_("joined"), default=clock.now)

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [
            models.UniqueConstraint(fields=["account", "user"], name="membership_is_unique"),
            models.UniqueConstraint(fields=["account"], condition=models.Q(role="owner"), name="membership_one_owner"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_is_known"),
        ]
        triggers = [
            refused_while_erasing(),
            people_who_go_stay_out(),
            pgtrigger.Trigger(
                name="keeps_an_owner",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                timing=pgtrigger.Deferred,
                declare=[("which", "uuid")],
                func="""
                    which := CASE WHEN TG_OP = 'DELETE' THEN OLD.account_id ELSE NEW.account_id END;
                    IF EXISTS (SELECT 1 FROM accounts_membership WHERE account_id = which)
                       AND NOT EXISTS (
                           SELECT 1 FROM accounts_membership WHERE account_id = which AND role = 'owner'
                       ) THEN
                        RAISE EXCEPTION 'account % would have members but no owner', which
                            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'membership_keeps_an_owner';
                    END IF;
                    RETURN NULL;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    @property
    def is_owner(self) -> bool:
        return self.role == Role.OWNER

    @property
    def is_manager(self) -> bool:
        """Whether this member invites, removes and changes the roles of others."""
        return self.role in (Role.OWNER, Role.ADMIN)
