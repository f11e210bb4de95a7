"""What this app holds, and what the libraries below it hold: its part of the inventory
(`accounts.erasure.inventory`).
"""

import uuid
from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.customers.account import Account, Membership, Role
from accounts.customers.usage import UsageCount
from accounts.customers.user import User
from accounts.desk.actions.log import StaffAction
from accounts.desk.bulk.run import BulkItem, BulkRun
from accounts.elsewhere.remote_export import RemoteExport
from accounts.erasure import inventory, last_mail
from accounts.erasure.holds import Hold
from accounts.erasure.inventory import Erased, Kept, Order, Scrubbed, scrub
from accounts.erasure.people import people_who_go
from accounts.events.dispatch import Dispatch
from accounts.events.message import EventMessage
from accounts.events.message_type import last_words
from accounts.exports.export import Export
from accounts.inbox.delivery import Delivery
from accounts.mail.notices import Notice
from accounts.people.invitation import Invitation
from accounts.signing_in.session import Session, hashes_of
from accounts.support.deletion_proposal import DeletionProposal
from accounts.support.internal_notes import InternalNote
from accounts.support.messages import Message
from accounts.support.ownership_proposal import OwnershipProposal
from accounts.support.requests import SupportRequest

#: The text of a hold or a staff action that has been emptied.
_EMPTIED = ""
ACCOUNTABILITY = _("GDPR art. 5(2): whoever erases must be able to show it")
NOTHING_PERSONAL = _("holds nothing about a person")
_STAFF_ALONE = _("written by our staff for each other; what came of it stands in the history")
#: The id and the digest of a delivery stay: they tell a message that is sent again, and nothing about a person.
DELIVERY_EMPTIED: dict[str, Any] = {"body": None, "named": None, "external_account": "", "last_error": "", "alert": ""}
_SECRETS = _("secrets, which open doors and tell nothing")


def bulk_runs(account_id: uuid.UUID) -> "QuerySet[BulkRun]":
    """Bulk runs that concern the account, and still have texts: those may speak of it. An open one can't go on then."""
    ours = BulkItem.objects.filter(run=OuterRef("pk"), account_id=account_id)
    return BulkRun.objects.filter(Exists(ours), values__isnull=False)


def _owned(model: str, path: str, part: str = "", not_exported: "str | Promise" = "") -> Erased:
    """The rows of people who go, found along `path` from the row to the person."""
    return Erased(
        model,
        Order.PERSONAL,
        lambda account: _rows(model).filter(**{f"{path}__in": people_who_go(account)}),
        part=part,
        not_exported=not_exported,
    )


def sessions_of_people_who_go(account_id: uuid.UUID) -> "QuerySet[Session]":
    """Where they are signed in, or half way there, and every session of anybody's that remembers their addresses."""
    going = people_who_go(account_id)
    addresses = hashes_of(
        [
            *User.objects.filter(pk__in=going, is_staff=False).values_list("email", flat=True),
            *EmailAddress.objects.filter(user__in=going).values_list("email", flat=True),
        ]
    )
    return Session.objects.filter(Q(user__in=going) | Q(addresses__overlap=addresses))


def addresses_of_people_who_go(account_id: uuid.UUID) -> "QuerySet[User, str]":
    """By which they signed in: other accounts may have invited them."""
    return User.objects.filter(pk__in=people_who_go(account_id), is_staff=False).values_list("email", flat=True)


def unlinked(model: str, field: str) -> Scrubbed:
    """An entry that empties a link to people who go, in rows that stay with another account."""
    return Scrubbed(
        model,
        Order.PERSONAL,
        lambda account: _rows(model).filter(**{f"{field}__in": people_who_go(account)}),
        {field: None},
        part=f"{field}, people who go",
    )


def _rows(model: str) -> "QuerySet[Any, Any]":
    rows: QuerySet[Any, Any] = apps.get_model(model)._default_manager.all()
    return rows


@dataclass(frozen=True)
class AdminLog:
    """The names and texts that the admin noted about rows that are erased in these stages."""

    part: str
    order: Order
    about: frozenset[Order]
    model: str = "admin.LogEntry"

    @property
    def name(self) -> str:
        return f"{self.model} (texts about {self.part})"

    def erase(self, account_id: uuid.UUID, limit: int) -> int:
        erased = 0
        for entries in self._entries(account_id):
            if erased < limit:
                erased += scrub(entries, {"object_repr": "", "change_message": ""}, limit - erased)
        return erased

    def count(self, account_id: uuid.UUID) -> int:
        return sum(entries.count() for entries in self._entries(account_id))

    def _entries(self, account_id: uuid.UUID) -> "list[QuerySet[LogEntry, LogEntry]]":
        entries = []
        noted = ContentType.objects.filter(Exists(LogEntry.objects.filter(content_type=OuterRef("pk"))))
        types = {f"{kind.app_label}.{kind.model}": kind for kind in noted}
        for store in inventory.stores():
            kind = types.get(store.model.lower())
            if kind and isinstance(store, Erased) and store.order in self.about and store.model != self.model:
                rows = store.find(account_id).order_by().annotate(_key=Cast("pk", TextField()))
                entries.append(
                    LogEntry.objects.filter(
                        Exists(rows.filter(_key=OuterRef("object_id"))),
                        ~Q(object_repr="") | ~Q(change_message=""),
                        content_type=kind,
                    ).order_by()
                )
        return entries


_CONTENT = (
    AdminLog("what the account owns", Order.NOTES, frozenset({Order.CONTENT, Order.PLACES, Order.ACCOUNT})),
    Erased(
        "accounts.RemoteExport",
        Order.CONTENT,
        lambda account: RemoteExport.objects.filter(account_id=account),
        not_exported=_("the exports themselves"),
    ),
    Erased(
        "accounts.Export",
        Order.CONTENT,
        lambda account: Export.objects.filter(account_id=account),
        files=("file",),
        not_exported=_("the exports themselves"),
    ),
    Erased(
        "accounts.Dispatch",
        Order.CONTENT,
        lambda account: Dispatch.objects.filter(account_id=account).exclude(message__type__in=last_words()),
        not_exported=_("what our own systems have answered; the history says what happened"),
    ),
    Erased(
        "accounts.EventMessage",
        Order.CONTENT,
        lambda account: EventMessage.objects.of(account).exclude(type__in=last_words()),
        not_exported=_("what our own systems are told of changes, by ids; the history says the same"),
    ),
    Erased("accounts.UsageCount", Order.CONTENT, lambda account: UsageCount.objects.filter(account_id=account)),
    Scrubbed(
        "accounts.Delivery",
        Order.CONTENT,
        lambda account: Delivery.objects.with_texts().filter(account_id=account),
        values=DELIVERY_EMPTIED,
        held_by_workers=True,
    ),
    # Before their rows, which say whose they are.
    Scrubbed("accounts.BulkRun", Order.CONTENT, bulk_runs, {"values": None}, part="reasons"),
    Erased(
        "accounts.BulkItem",
        Order.CONTENT,
        lambda account: BulkItem.objects.filter(account_id=account),
        not_exported=_STAFF_ALONE,
    ),
    Erased(
        "accounts.Notice",
        Order.CONTENT,
        lambda account: Notice.objects.filter(account_id=account),
        many="account",
    ),
    Erased(
        "accounts.Invitation",
        Order.CONTENT,
        lambda account: Invitation.objects.filter(account_id=account),
        many="account",
    ),
    Erased(
        "accounts.OwnershipProposal",
        Order.CONTENT,
        lambda account: OwnershipProposal.objects.filter(account_id=account),
    ),
    Erased("accounts.Message", Order.CONTENT, lambda account: Message.objects.filter(request__account=account)),
    Erased(
        "accounts.InternalNote",
        Order.CONTENT,
        lambda account: InternalNote.objects.filter(request__account=account),
        not_exported=_STAFF_ALONE,
    ),
    Erased(
        "accounts.DeletionProposal",
        Order.CONTENT,
        lambda account: DeletionProposal.objects.filter(request__account=account),
        not_exported=_STAFF_ALONE,
    ),
    Erased("accounts.SupportRequest", Order.CONTENT, lambda account: SupportRequest.objects.filter(account_id=account)),
    # The owner goes last: the database keeps an owner in every account that has members.
    Erased(
        "accounts.Membership",
        Order.PLACES,
        lambda account: Membership.objects.filter(account_id=account).order_by(
            Case(When(role=Role.OWNER, then=Value(1)), default=Value(0))
        ),
    ),
    # Late, because a hold can be set while the erasing runs.
    Scrubbed(
        "accounts.Hold",
        Order.ACCOUNT,
        lambda account: Hold.objects.of(account).exclude(reason=_EMPTIED),
        {"reason": _EMPTIED},
        part="reasons",
    ),
    Scrubbed(
        "accounts.StaffAction",
        Order.ACCOUNT,
        lambda account: StaffAction.objects.of(account).exclude(reason=_EMPTIED),
        {"reason": _EMPTIED},
        part="reasons",
    ),
    Erased("accounts.Account", Order.ACCOUNT, lambda account: Account.objects.filter(pk=account)),
)

#: What people own who belong to no other account. Those who do keep all of it.
_PEOPLE = (
    AdminLog("people", Order.PERSONAL_NOTES, frozenset({Order.PERSONAL, Order.PEOPLE})),
    Erased("accounts.Session", Order.PERSONAL, sessions_of_people_who_go),
    _owned("mfa.Authenticator", "user", not_exported=_SECRETS),
    _owned("socialaccount.SocialToken", "account__user", not_exported=_SECRETS),
    _owned("socialaccount.SocialAccount", "user"),
    _owned("account.EmailConfirmation", "email_address__user", not_exported=_SECRETS),
    _owned("account.EmailAddress", "user"),
    _owned("accounts.User_groups", "user", not_exported=_STAFF_ALONE),
    _owned("accounts.User_user_permissions", "user", not_exported=_STAFF_ALONE),
    # Written by former staff who were customers, too; staff are never erased.
    _owned("admin.LogEntry", "user", part="written by people who go", not_exported=_STAFF_ALONE),
    # What they left in accounts that they do not belong to any more.
    _owned("accounts.Notice", "recipient", part="to people who go"),
    Erased(
        "accounts.Notice",
        Order.PERSONAL,
        lambda account: Notice.objects.filter(address__in=addresses_of_people_who_go(account)),
        part="to addresses of people who go",
    ),
    Erased(
        "accounts.Invitation",
        Order.PERSONAL,
        lambda account: Invitation.objects.filter(email__in=addresses_of_people_who_go(account)),
        part="of people who go",
    ),
    unlinked("accounts.Invitation", "invited_by"),
    _owned("accounts.OwnershipProposal", "proposed_by", part="by people who go"),
    _owned("accounts.OwnershipProposal", "new_owner", part="to people who go"),
    unlinked("accounts.SupportRequest", "made_by"),
    unlinked("accounts.Message", "written_by"),
    unlinked("accounts.DeletionProposal", "requested_by"),
    unlinked("accounts.Export", "asked_for_by"),
    Erased(
        "accounts.User",
        Order.PEOPLE,
        lambda account: User.objects.filter(pk__in=people_who_go(account), is_staff=False),
    ),
)

_KEPT = (
    Kept("accounts.Event", _("what happened, when, by which id; no names and no texts"), ACCOUNTABILITY),
    Kept("accounts.Endpoint", _("who hears what happens here; nobody of an account")),
    Kept("accounts.Lane", _("that an endpoint has heard of an account; gone with the last of its messages")),
    Kept("accounts.Dispatch", _("who was told that the erasing began and is over; gone after 30 days")),
    Kept("accounts.EventMessage", _("that the erasing began and is over, by ids alone; gone after 30 days")),
    Kept("accounts.EventStream", _("how many messages there were; gone with the last of them")),
    Kept("accounts.Purge", _("the obligation and its dates, by the account's id"), ACCOUNTABILITY),
    Kept("accounts.PurgeObligation", _("each cause of a purge and its dates; ids alone"), ACCOUNTABILITY),
    Kept(
        "accounts.RemoteErasure",
        _("what other systems were asked to erase and what they answered, by ids"),
        ACCOUNTABILITY,
        scrubbed=_("the ids of people, as soon as the other system is done"),
    ),
    Kept("accounts.StoreGate", NOTHING_PERSONAL),
    Kept("accounts.Certificate", _("the proof of the erasing, by the account's id"), ACCOUNTABILITY),
    Kept(
        "accounts.LastMail",
        _("the owner’s address, encrypted, for the one email that brings the certificate; gone once it is sent"),
        _("so that the owner hears of it, GDPR art. 12(3)"),
        scrubbed=_("the address"),
        until=last_mail.kept_until,
    ),
    Kept(
        "accounts.Hold",
        _("who kept data for longer, from when to when, by ids"),
        ACCOUNTABILITY,
        scrubbed=_("the reason"),
    ),
    Kept(
        "accounts.StaffAction",
        _("what staff did, to which row, when, by ids"),
        ACCOUNTABILITY,
        scrubbed=_("the reason"),
    ),
    Kept(
        "accounts.BulkRun",
        _("that staff did one thing to many accounts, and when; gone after 90 days"),
        ACCOUNTABILITY,
        scrubbed=_("the reason"),
    ),
    Kept("accounts.DepartingPerson", _("ids only, removed when the purge has been verified")),
    Kept("accounts.FileDeletion", _("paths made of ids, removed with the files")),
    Kept("accounts.RefusedMessage", _("How often forged or foreign messages came; they name nobody.")),
    Kept("accounts.System", NOTHING_PERSONAL),
    Kept("accounts.Opening", NOTHING_PERSONAL),
    Kept("accounts.ApiToken", _("who may call the API: the vendor's own systems, made by which member of staff")),
    Kept("accounts.ApiCall", _("calls of the API by ids and hashes; gone after a week")),
    Kept("accounts.HourlyCount", _("how often somebody did something in an hour, by ids; gone after a week")),
    Kept("accounts.SweepRun", _("of the whole system; the next run overwrites it")),
    Kept(
        "admin.LogEntry",
        _("that a member of staff did something, and when"),
        ACCOUNTABILITY,
        scrubbed=_("names and texts of what was erased"),
    ),
    Kept("auth.Group", NOTHING_PERSONAL),
    Kept("auth.Group_permissions", NOTHING_PERSONAL),
    Kept("auth.Permission", NOTHING_PERSONAL),
    Kept("contenttypes.ContentType", NOTHING_PERSONAL),
    Kept("socialaccount.SocialApp", _("the vendor's own access to sign-in providers")),
    # Places that are not tables.
    Kept("cache", _("counters of sign-in attempts by hashed keys, gone within the hour")),
    Kept("messages to workers", _("say only which sweep is to be run")),
    Kept("mail sent", _("is in the reader's mailbox, not here")),
    Kept("static files", NOTHING_PERSONAL),
)

#: In the order in which they are emptied.
PERSONAL_DATA = (*_CONTENT, *_PEOPLE, *_KEPT)
