"""What a data export consists of. Each app declares what it holds (`accounts.extension`).

A part is a table, read by its key a batch at a time, or a folder of files. Its fields are declared once, as JSON
Schema: they are what is read, and what `schema.json` in the archive says.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet
from django.utils.functional import Promise

from accounts.branding import brand
from accounts.core import clock
from accounts.core.registry import Registry
from accounts.customers.account import Account, Role
from accounts.customers.history import Event
from accounts.customers.usage import UsageCount
from accounts.customers.user import User
from accounts.erasure import inventory
from accounts.exports.archive import Archive
from accounts.mail.notices import Notice
from accounts.people.invitation import Invitation
from accounts.signing_in import session
from accounts.support.messages import Message
from accounts.support.ownership_proposal import OwnershipProposal
from accounts.support.requests import SupportRequest

#: Rows read by one statement, and written between two notes of progress.
BATCH = 500
#: Rows in memory at once: one can be a megabyte.
IN_MEMORY = 20

#: JSON Schema of one value.
Schema = Mapping[str, Any]
#: The last row written: the values of its key, as JSON.
Key = list[Any]

TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
ID: Schema = {"type": "string", "format": "uuid"}
DAY: Schema = {"type": "string", "format": "date", "description": "a calendar day"}
INSTANT: Schema = {"type": "string", "format": "date-time", "description": "ISO 8601, UTC"}
TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
OBJECT: Schema = {"type": "object"}
OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}


def optional(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


@dataclass(frozen=True)
class Batch:
    """What one turn has written: how many, up to which key, and whether that was all."""

    written: int
    after: Key | None
    complete: bool


class Part(Protocol):
    @property
    def name(self) -> str: ...
    def total(self, account_id: uuid.UUID) -> int: ...
    def write(self, archive: Archive, account_id: uuid.UUID, after: Key | None) -> Batch:
        """Write up to `BATCH` after this key; with None, from the beginning."""


@dataclass(frozen=True)
class Rows:
    """Rows as JSON: an object a line (`.jsonl`), or one array (`.json`). `key` orders them; it must be indexed."""

    name: str
    rows: Callable[[uuid.UUID], "QuerySet[Any, Any]"]
    fields: Mapping[str, Schema]
    key: Sequence[str] = ("id",)
    #: What the page of exports says is in it; empty: it is among what that page says of every account.
    on_page: str | Promise = ""

    def total(self, account_id: uuid.UUID) -> int:
        return self.rows(account_id).count()

    def schema(self) -> Schema:
        return {"type": "object", "properties": dict(self.fields), "required": list(self.fields)}

    def write(self, archive: Archive, account_id: uuid.UUID, after: Key | None) -> Batch:
        array = self.name.endswith(".json")
        if after is None:
            archive.open_member(self.name)
            archive.write(b"[\n" if array else b"")
        written = 0
        found = _after(self.rows(account_id), self.key, after).values(*self.fields)[:BATCH]
        for document in found.iterator(chunk_size=IN_MEMORY):
            separator = b",\n" if array and after is not None else b""
            archive.write(separator + as_json(document) + (b"" if array else b"\n"))
            after = [plain(document[name]) for name in self.key]
            written += 1
        if written == BATCH:
            return Batch(written, after, complete=False)
        archive.write(b"\n]\n" if array else b"")
        archive.close_member()
        return Batch(written, after, complete=True)


@dataclass(frozen=True)
class Documents:
    """A few documents that are no rows of a table as they stand, such as what a session remembers. In one array."""

    name: str
    documents: Callable[[uuid.UUID], Sequence[Mapping[str, Any]]]
    fields: Mapping[str, Schema]
    #: The label of the model whose rows they tell of.
    model: str

    def total(self, account_id: uuid.UUID) -> int:
        return len(self.documents(account_id))

    def schema(self) -> Schema:
        return {"type": "object", "properties": dict(self.fields), "required": list(self.fields)}

    def write(self, archive: Archive, account_id: uuid.UUID, after: Key | None) -> Batch:
        found = self.documents(account_id)
        archive.add(self.name, as_json(found, indent=1))
        return Batch(len(found), None, complete=True)


@dataclass(frozen=True)
class Files:
    """The files that these rows have in a field, under the names that the rows give them. One that is missing is
    left out. `name` is the folder that they are in, and `described` what the README says of it.
    """

    name: str
    rows: Callable[[uuid.UUID], "QuerySet[Any, Any]"]
    field: str
    described: str = ""
    key: Sequence[str] = ("id",)

    def total(self, account_id: uuid.UUID) -> int:
        return self.rows(account_id).count()

    def write(self, archive: Archive, account_id: uuid.UUID, after: Key | None) -> Batch:
        written = 0
        for row in list(_after(self.rows(account_id), self.key, after).values(*self.key, self.field)[:BATCH]):
            try:
                with default_storage.open(row[self.field]) as file:
                    content = file.read()
            except FileNotFoundError:
                pass
            else:
                archive.add(row[self.field], content)
            after = [plain(row[name]) for name in self.key]
            written += 1
        return Batch(written, after, complete=written < BATCH)


def _after(rows: "QuerySet[Any, Any]", key: Sequence[str], after: Key | None) -> "QuerySet[Any, Any]":
    """The rows that come after this key, in its order."""
    rows = rows.order_by(*key)
    if after is None:
        return rows
    first, *others = key
    if not others:
        return rows.filter(**{f"{first}__gt": after[0]})
    (second,) = others
    # The first condition is the one that an index can begin with.
    later = Q(**{f"{first}__gt": after[0]}) | Q(**{f"{second}__gt": after[1]})
    return rows.filter(later, **{f"{first}__gte": after[0]})


def plain(value: Any) -> Any:
    """A value as JSON has it: instants in ISO 8601 and UTC, ids as texts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, uuid.UUID) else value


def as_json(document: object, *, indent: int | None = None) -> bytes:
    return json.dumps(document, default=plain, ensure_ascii=False, indent=indent).encode()


REGISTRY: Registry[Part] = Registry()


def parts() -> list[Part]:
    return REGISTRY.all()


def _described() -> "list[Rows | Documents]":
    """The parts that `schema.json` describes: all but folders of files."""
    return [part for part in parts() if isinstance(part, Rows | Documents)]


EXTERNAL_ID: Schema = {**optional(TEXT), "description": "what it is called in the vendor's other systems"}


def on_page() -> list[str]:
    """What the page of exports says of the product's own parts."""
    return [str(part.on_page) for part in parts() if isinstance(part, Rows) and part.on_page]


MEMBER: Mapping[str, Schema] = {
    "id": INTEGER,
    "external_id": EXTERNAL_ID,
    "name": TEXT,
    "email": TEXT,
    "language": {**TEXT, "description": "empty: as the browser asks"},
    "time_zone": TEXT,
    "role": TEXT,
    "joined_at": INSTANT,
}
ACCOUNT_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "id": ID,
        "external_id": EXTERNAL_ID,
        "name": TEXT,
        "created_at": INSTANT,
        "deactivated_at": optional(INSTANT),
        "members": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": MEMBER,
                "required": list(MEMBER),
            },
        },
    },
    "required": ["id", "external_id", "name", "created_at", "deactivated_at", "members"],
}


def schema() -> Schema:
    """The JSON Schema of the archive: one property a file; a `.jsonl` file is the array of its lines."""
    files = {part.name: {"type": "array", "items": part.schema()} for part in _described()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{brand.current().name}: data export",
        "description": "One property for each file of the archive. A .jsonl file is read as the array of its lines.",
        "type": "object",
        "properties": {"account.json": ACCOUNT_SCHEMA, **files},
        "required": ["account.json", *files],
    }


def account_document(account: Account) -> Mapping[str, Any]:
    members = account.memberships.select_related("user").order_by("joined_at", "id")
    return {
        "id": account.pk,
        "external_id": account.external_id,
        "name": account.name,
        "created_at": account.created_at,
        "deactivated_at": account.deactivated_at,
        "members": [
            {
                "id": place.user_id,
                "external_id": place.user.external_id,
                "name": place.user.name,
                "email": place.user.email,
                "language": place.user.language,
                "time_zone": place.user.time_zone,
                "role": place.role,
                "joined_at": place.joined_at,
            }
            for place in members
        ],
    }


def readme(account: Account, at: datetime, elsewhere: str = "") -> str:
    """`elsewhere`: what it says of other systems' parts."""
    lines = "".join(f"  {part.name}\n" for part in _described())
    folders = "".join(f"  {part.name}/: {part.described}\n" for part in parts() if isinstance(part, Files))
    return (
        f"{brand.current().name}: all data of the account “{account.name}”\nas of {plain(at)}\n\n"
        "All texts are UTF-8, all instants ISO 8601 in UTC.\n"
        "A .json file is one document; a .jsonl file holds one JSON object a line.\n\n"
        f"  schema.json: JSON Schema of all of them\n  account.json: the account and its members\n{lines}"
        f"{folders}{elsewhere}\n"
        "Of sign-ins, addresses and authorisations: those of the owner. Other members' are theirs.\n"
        "Left out of this archive, and erased with the account:\n\n"
        + "".join(f"  {model}: {why}\n" for model, why in inventory.left_out())
    )


#: The models that `account.json` tells of.
IN_ACCOUNT_DOCUMENT = ("accounts.Account", "accounts.Membership", "accounts.User")


def exported_models() -> set[str]:
    """The labels of all models of which an export holds rows."""
    found = set(IN_ACCOUNT_DOCUMENT)
    for part in parts():
        if isinstance(part, Documents):
            found.add(part.model)
        elif isinstance(part, Rows):
            found.add(part.rows(uuid.UUID(int=0)).model._meta.label)
    return found


def of_owner(path: str, account_id: uuid.UUID) -> dict[str, Any]:
    """The filter for rows of the account's owner, who is `path` away from them."""
    return {f"{path}__memberships__account": account_id, f"{path}__memberships__role": Role.OWNER}


def sign_ins(account_id: uuid.UUID) -> list[Mapping[str, Any]]:
    """Where the owner is signed in."""
    owner = User.objects.filter(memberships__account=account_id, memberships__role=Role.OWNER).first()
    if owner is None:
        return []
    places = session.places_of(owner, here=None, at=clock.now())
    return [
        {"browser": place.browser, "address": place.address, "since": plain(place.since) if place.since else None}
        for place in places
    ]


EXPORT_PARTS = (
    Rows(
        "usage.json",
        lambda account: UsageCount.objects.filter(account=account),
        {"id": INTEGER, "code": TEXT, "count": INTEGER, "as_of": INSTANT},
    ),
    Rows(
        "invitations.json",
        lambda account: Invitation.objects.filter(account=account),
        {
            "id": ID,
            "email": TEXT,
            "role": TEXT,
            "invited_by_id": optional(INTEGER),
            "invited_at": INSTANT,
            "expires_at": INSTANT,
            "accepted_at": optional(INSTANT),
            "revoked_at": optional(INSTANT),
        },
    ),
    Rows(
        "ownership_offers.json",
        lambda account: OwnershipProposal.objects.filter(account=account),
        {
            "id": INTEGER,
            "proposed_by_id": INTEGER,
            "new_owner_id": INTEGER,
            "stays": {"type": "boolean", "description": "whether the old owner remains as an administrator"},
            "proposed_at": INSTANT,
            "expires_at": INSTANT,
            "accepted_at": optional(INSTANT),
            "closed_at": optional(INSTANT),
        },
    ),
    Rows(
        "requests.json",
        lambda account: SupportRequest.objects.filter(account=account),
        {
            "id": INTEGER,
            "reference": TEXT,
            "kind": TEXT,
            "message": TEXT,
            "made_by_id": optional(INTEGER),
            "made_at": INSTANT,
            "identity": {**TEXTS, "description": "what support compared, if the request was made by them"},
            "due_at": optional(INSTANT),
            "extended_at": optional(INSTANT),
            "answered_at": optional(INSTANT),
            "decided_at": optional(INSTANT),
            "case_number": {**TEXT, "description": "of the case at the marketplace; empty if there is none"},
            "closed_at": optional(INSTANT),
            "outcome": TEXT,
        },
    ),
    Rows(
        "request_messages.json",
        lambda account: Message.objects.filter(request__account=account),
        {"id": INTEGER, "request_id": INTEGER, "side": TEXT, "text": TEXT, "written_at": INSTANT},
    ),
    Rows(
        "mails.jsonl",
        lambda account: Notice.objects.filter(account=account, sent_at__isnull=False),
        {
            "id": ID,
            "recipient_id": optional(INTEGER),
            "address": {**TEXT, "description": "where it went, if not to a member"},
            "kind": TEXT,
            "facts": {**OBJECT, "description": "what the mail said"},
            "queued_at": INSTANT,
            "sent_at": INSTANT,
        },
    ),
    Rows(
        "owner_addresses.json",
        lambda account: EmailAddress.objects.filter(**of_owner("user", account)),
        {"id": INTEGER, "email": TEXT, "verified": {"type": "boolean"}, "primary": {"type": "boolean"}},
    ),
    Rows(
        "owner_sign_in_accounts.json",
        lambda account: SocialAccount.objects.filter(**of_owner("user", account)),
        {
            "id": INTEGER,
            "provider": TEXT,
            "uid": TEXT,
            "date_joined": INSTANT,
            "last_login": INSTANT,
            "extra_data": {**OBJECT, "description": "what the provider told us"},
        },
    ),
    Documents(
        "owner_sign_ins.json",
        sign_ins,
        {"browser": TEXT, "address": TEXT, "since": optional(INSTANT)},
        model="accounts.Session",
    ),
    Rows(
        "history.jsonl",
        lambda account: Event.objects.filter(account=account).for_customers(),
        {
            "id": INTEGER,
            "at": INSTANT,
            "kind": TEXT,
            "actor_kind": TEXT,
            "actor_id": optional(INTEGER),
            "facts": OBJECT,
            "recorded_at": INSTANT,
        },
        key=("at", "id"),
    ),
)
