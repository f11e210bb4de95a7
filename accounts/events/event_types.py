"""What others are told of an account itself: that it is there, its people, its data, its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Event
from accounts.customers.user import User
from accounts.events.message_type import MessageType, Payload

MEMBER = {"member": "our id of the person", "member_external_id": "yours, or null", "role": "owner, admin or user"}
DATES = {
    "due_at": "from when on the data are erased",
    "deadline_at": "until when they have to be",
    "deletion_cause": "`customer_request` or `marketplace_cancellation`",
}


@dataclass(frozen=True)
class Place:
    """One member, as others are told."""

    member: int
    external_id: str | None
    role: str

    @classmethod
    def of(cls, user: User, role: object) -> "Place":
        return cls(user.pk, user.external_id, str(role))

    def payload(self) -> Payload:
        return {"member": self.member, "member_external_id": self.external_id, "role": self.role}


@dataclass(frozen=True)
class Imported:
    """What an import has added to an account: itself, if it is new, with its owner first; and places in it."""

    new_account: bool
    places: Sequence[Place]


@dataclass(frozen=True)
class HandedOver:
    owner: User
    before: User | None


def opened(event: Event) -> Payload:
    """`subject` is the owner, or None while there is none."""
    owner: Any = event.subject
    return {"owner": owner.pk if owner else None, "owner_external_id": owner.external_id if owner else None}


def _imported(event: Event) -> Payload | None:
    imported: Any = event.subject
    if not imported.new_account:
        return None
    owner = imported.places[0]
    return {"owner": owner.member, "owner_external_id": owner.external_id}


def _places_imported(event: Event) -> list[Payload]:
    imported: Any = event.subject
    return [place.payload() for place in imported.places[1 if imported.new_account else 0 :]]


def place(event: Event) -> Payload:
    """`subject` is a `Place`."""
    told: Any = event.subject
    payload: Payload = told.payload()
    return payload


def _gone(event: Event) -> Payload:
    user: Any = event.subject
    return {"member": user.pk, "member_external_id": user.external_id}


def _handed_over(event: Event) -> Payload:
    handed: Any = event.subject
    return {
        "member": handed.owner.pk,
        "member_external_id": handed.owner.external_id,
        "member_before": handed.before.pk if handed.before else None,
        "member_before_external_id": handed.before.external_id if handed.before else None,
        "stays": event.facts["stays"],
    }


def _scheduled(event: Event) -> Payload:
    purge: Any = event.subject
    return {"due_at": purge.due_at, "deadline_at": purge.deadline_at, "deletion_cause": str(purge.cause)}


def _certified(event: Event) -> Payload:
    return {"purge": event.facts["purge"], "certificate": event.facts["certificate"]}


def _ready(event: Event) -> Payload:
    export: Any = event.subject
    return {"export": export.pk, "bytes": export.size}


ACCOUNT_TYPES = (
    MessageType(
        "account.created",
        "There is a new account: opened at the desk, by the API, by signing up, by a purchase, or imported.",
        {"owner": "our id of its owner, or null while nobody has come yet", "owner_external_id": "yours, or null"},
        {
            AccountEvent.ACCOUNT_OPENED: opened,
            AccountEvent.ACCOUNT_SIGNED_UP: opened,
            AccountEvent.ACCOUNT_IMPORTED: _imported,
        },
        changes_entitlements=True,
    ),
    MessageType(
        "ownership.changed",
        "The account has another owner.",
        {
            "member": "our id of the new owner",
            "member_external_id": "yours, or null",
            "member_before": "our id of the owner before, or null",
            "member_before_external_id": "yours, or null",
            "stays": "whether the owner before is an administrator now, or has left",
        },
        {AccountEvent.OWNERSHIP_HANDED_OVER: _handed_over},
    ),
    MessageType(
        "member.added",
        "Somebody has a place in the account: by an invitation, the API, GitHub, or an import.",
        MEMBER,
        {
            AccountEvent.MEMBER_ADDED: place,
            AccountEvent.PERSON_JOINED: place,
            AccountEvent.ACCOUNT_IMPORTED: _places_imported,
        },
    ),
    MessageType("member.changed", "A member has another role.", MEMBER, {AccountEvent.ROLE_CHANGED: place}),
    MessageType(
        "member.removed",
        "A member was removed, or has left.",
        {"member": MEMBER["member"], "member_external_id": MEMBER["member_external_id"]},
        {AccountEvent.PERSON_REMOVED: _gone, AccountEvent.PERSON_LEFT: _gone},
    ),
    MessageType(
        "deletion.scheduled",
        "All data of the account are to be erased; said again when the dates change. It can still be called off.",
        DATES,
        {AccountEvent.PURGE_SCHEDULED: _scheduled, AccountEvent.PURGE_POSTPONED: _scheduled},
    ),
    MessageType(
        "deletion.called_off",
        "The data of the account stay.",
        {"deletion_cause": DATES["deletion_cause"]},
        {AccountEvent.PURGE_CALLED_OFF: lambda event: {"deletion_cause": event.facts["cause"]}},
    ),
    MessageType(
        "account.erasing",
        "The erasing of all the account's data has begun: there is no way back, and nothing is allowed any more. "
        "Nothing follows but `account.erased`.",
        {"purge": "our number of the erasing"},
        {AccountEvent.PURGE_STARTED: lambda event: {"purge": event.facts["purge"]}},
        last_words=True,
    ),
    MessageType(
        "account.erased",
        "All data are erased, and that is proven. The last message of an account.",
        {"purge": "our number of the erasing", "certificate": "the number of its certificate"},
        {AccountEvent.PURGE_VERIFIED: _certified},
        last_words=True,
    ),
    MessageType(
        "export.ready",
        "An export that the owner asked for can be fetched by the owner.",
        {"export": "our id of the export", "bytes": "its size"},
        {AccountEvent.EXPORT_READY: _ready},
    ),
)
