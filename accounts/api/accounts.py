"""Doors of accounts and their people."""

import uuid
from typing import Annotated, Literal

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from accounts.api import problems
from accounts.api.answers import CARRIES_IF_MATCH, MAY_CARRY_IF_NONE_MATCH, MAY_CARRY_KEY, answer, etag_of, nothing
from accounts.api.caller import Token, caller_of
from accounts.api.cursors import Cursor, Limit, page
from accounts.api.etags import require_match
from accounts.api.fields import (
    AccountName,
    Address,
    Body,
    ExternalId,
    InstantOut,
    Language,
    Notify,
    PersonName,
    Told,
    Zone,
)
from accounts.api.idempotency import once
from accounts.api.lookup import account_of, locked_account, place_of
from accounts.api.problems import FieldError, Problem
from accounts.api.tokens import Scope
from accounts.core import foreign_input
from accounts.customers import opening
from accounts.customers.account import Account, Membership, Role
from accounts.customers.opening import NewPerson
from accounts.customers.user import User
from accounts.mail import notices
from accounts.mail.account_opened import tell_owner
from accounts.people import members
from accounts.support.ownership import hand_over
from accounts.support.requests import MAX_MESSAGE, RequestKind, ask

router = Router(tags=["accounts"])
READ, WRITE = Token(Scope.ACCOUNTS_READ), Token(Scope.ACCOUNTS_WRITE)


class PersonIn(Body):
    """A person. What they have said of themselves since is not changed by telling it again."""

    external_id: ExternalId
    email: Address
    name: PersonName = ""
    language: Language = ""
    time_zone: Zone = "UTC"

    def as_person(self) -> NewPerson:
        return NewPerson(**self.model_dump())


class PersonTold(Told):
    external_id: str | None
    email: str
    name: str
    language: str
    time_zone: str

    @classmethod
    def of(cls, user: User) -> "PersonTold":
        return cls(
            external_id=user.external_id,
            email=user.email,
            name=user.name,
            language=user.language,
            time_zone=user.time_zone,
        )


class AccountIn(Body):
    external_id: ExternalId
    name: AccountName
    owner: PersonIn
    notify: Notify = True


class AccountChange(Body):
    """What is left out stays as it is."""

    external_id: ExternalId | None = None
    name: AccountName | None = None


class AccountTold(Told):
    id: uuid.UUID
    version: int
    external_id: str | None
    name: str
    created_at: InstantOut
    deactivated_at: InstantOut | None
    owner: PersonTold | None

    @classmethod
    def of(cls, account: Account, owner: User | None) -> "AccountTold":
        return cls(
            id=account.pk,
            version=account.version,
            external_id=account.external_id,
            name=account.name,
            created_at=account.created_at,
            deactivated_at=account.deactivated_at,
            owner=PersonTold.of(owner) if owner else None,
        )


class AccountPage(Told):
    items: list[AccountTold]
    next: str | None


class MemberIn(Body):
    """A member; the one who is called so in the address."""

    email: Address
    name: PersonName = ""
    language: Language = ""
    time_zone: Zone = "UTC"
    role: Literal["admin", "user"] = "user"
    notify: Notify = True


class MemberTold(Told):
    person: PersonTold
    role: str
    joined_at: InstantOut

    @classmethod
    def of(cls, place: Membership) -> "MemberTold":
        return cls(person=PersonTold.of(place.user), role=place.role, joined_at=place.joined_at)


class MemberPage(Told):
    items: list[MemberTold]
    next: str | None


class OwnershipIn(Body):
    external_id: ExternalId
    #: Whether the present owner remains, as an administrator.
    stays: bool = True
    notify: Notify = True


class DeletionIn(Body):
    """What the owner wrote, if anything."""

    message: Annotated[str, Query(max_length=MAX_MESSAGE)] = ""
    notify: Notify = True


class DeletionTold(Told):
    reference: str
    asked_at: InstantOut
    answer_due_at: InstantOut | None
    decided_at: InstantOut | None


@router.post("accounts/", auth=WRITE, response={200: AccountTold, 201: AccountTold}, openapi_extra=MAY_CARRY_KEY)
def create_account(request: HttpRequest, body: AccountIn) -> HttpResponse:
    """Create an account with its owner. The same external id and body again: the account that is there (200)."""
    caller = caller_of(request)

    def work() -> tuple[int, str]:
        if there := Account.objects.filter(external_id=body.external_id).first():
            _require_same(there, body)
            return 200, str(there.pk)
        owner, _new = opening.known_or_new(body.owner.as_person(), at=caller.at)
        account = opening.open_account(
            body.name, owner=owner, external_id=body.external_id, by=caller.actor, at=caller.at
        )
        with notices.sent_if(body.notify):
            tell_owner(account, owner, at=caller.at)
        return 201, str(account.pk)

    status, made, replayed = once(request, work, token=caller.row, at=caller.at)
    return _told(request, account_of(uuid.UUID(made)), status=status, replayed=replayed)


def _require_same(account: Account, body: AccountIn) -> None:
    """Raise 409 if the account that is called so is not the one that is told."""
    owner = account.owner()
    same = owner and (account.name, owner.external_id, owner.email) == (
        body.name,
        body.owner.external_id,
        body.owner.email,
    )
    if not same:
        raise Problem(problems.EXTERNAL_ID_TAKEN)


def _told(request: HttpRequest, account: Account, *, status: int = 200, replayed: bool = False) -> HttpResponse:
    return answer(request, AccountTold.of(account, account.owner()), status=status, replayed=replayed)


@router.get("accounts/", auth=READ, response=AccountPage)
def list_accounts(
    request: HttpRequest, external_id: ExternalId | None = None, cursor: Cursor = "", limit: Limit = 50
) -> HttpResponse:
    """Accounts, oldest first; by `external_id` the one that is called so, if there is one."""
    rows = Account.objects.filter(purging_at=None)
    if external_id is not None:
        rows = rows.filter(external_id=external_id)
    found, after = page(rows, by="created_at", cursor=cursor, limit=limit)
    owners = Account.objects.filter(pk__in=[account.pk for account in found]).owners()
    items = [AccountTold.of(account, owners.get(account.pk)) for account in found]
    return answer(request, AccountPage(items=items, next=after))


@router.get("accounts/{uuid:account_id}/", auth=READ, response=AccountTold, openapi_extra=MAY_CARRY_IF_NONE_MATCH)
def get_account(request: HttpRequest, account_id: uuid.UUID) -> HttpResponse:
    """One account, with its owner."""
    return _told(request, account_of(account_id))


@router.patch("accounts/{uuid:account_id}/", auth=WRITE, response=AccountTold, openapi_extra=CARRIES_IF_MATCH)
def change_account(request: HttpRequest, account_id: uuid.UUID, body: AccountChange) -> HttpResponse:
    """Give an account another name, or another external id."""
    caller = caller_of(request)
    with transaction.atomic():
        account = locked_account(account_id)
        require_match(request, etag_of(AccountTold.of(account, account.owner())))
        opening.change_account(account, by=caller.actor, at=caller.at, **body.model_dump(exclude_none=True))
    return _told(request, account_of(account_id))


@router.get("accounts/{uuid:account_id}/members/", auth=READ, response=MemberPage)
def list_members(request: HttpRequest, account_id: uuid.UUID, cursor: Cursor = "", limit: Limit = 50) -> HttpResponse:
    """The people of an account, in the order in which they joined."""
    rows = account_of(account_id).memberships.select_related("user")
    found, after = page(rows, by="joined_at", cursor=cursor, limit=limit)
    return answer(request, MemberPage(items=[MemberTold.of(place) for place in found], next=after))


@router.put(
    "accounts/{uuid:account_id}/members/{external_id}/", auth=WRITE, response={200: MemberTold, 201: MemberTold}
)
def put_member(request: HttpRequest, account_id: uuid.UUID, external_id: str, body: MemberIn) -> HttpResponse:
    """Give a person a place in an account, or another role there. Who is new there is mailed a way in."""
    caller = caller_of(request)
    called = _external_id(external_id)
    with transaction.atomic():
        account = locked_account(account_id)
        person = NewPerson(called, **body.model_dump(exclude={"role", "notify"}))
        user, _new = opening.known_or_new(person, at=caller.at)
        with notices.sent_if(body.notify):
            is_new = members.put_in(account, user=user, role=Role(body.role), by=caller.actor, at=caller.at)
        place = account.memberships.select_related("user").get(user=user)
    return answer(request, MemberTold.of(place), status=201 if is_new else 200)


def _external_id(text: str) -> str:
    """The id in an address, canonical. Raises 422."""
    if called := foreign_input.external_id_or_nothing(text):
        return called
    raise Problem(problems.INVALID, errors=[FieldError("path:external_id", "unfit", "This can't be an external id.")])


@router.delete("accounts/{uuid:account_id}/members/{external_id}/", auth=WRITE, response={204: None})
def remove_member(request: HttpRequest, account_id: uuid.UUID, external_id: str, notify: bool = True) -> HttpResponse:
    """Take a person's place in an account away. Whoever has none has none: that is done, too (204)."""
    caller = caller_of(request)
    with transaction.atomic():
        account = locked_account(account_id)
        place = account.memberships.select_related("user").filter(user__external_id=_external_id(external_id)).first()
        if place:
            with notices.sent_if(notify):
                members.remove(account, user=place.user, by=caller.actor, at=caller.at)
    return nothing()


@router.post("accounts/{uuid:account_id}/ownership/", auth=WRITE, response=AccountTold, openapi_extra=MAY_CARRY_KEY)
def hand_account_over(request: HttpRequest, account_id: uuid.UUID, body: OwnershipIn) -> HttpResponse:
    """Make a member the owner. Both are told by mail."""
    caller = caller_of(request)

    def work() -> tuple[int, str]:
        account = locked_account(account_id)
        new = place_of(account, body.external_id).user
        with notices.sent_if(body.notify):
            hand_over(account, to=new, stays=body.stays, by=caller.actor, at=caller.at)
        return 200, str(account_id)

    status, _id, replayed = once(request, work, token=caller.row, at=caller.at)
    return _told(request, account_of(account_id), status=status, replayed=replayed)


@router.post(
    "accounts/{uuid:account_id}/deletion/",
    auth=WRITE,
    response={200: DeletionTold, 201: DeletionTold},
    openapi_extra=MAY_CARRY_KEY,
)
def ask_for_deletion(request: HttpRequest, account_id: uuid.UUID, body: DeletionIn) -> HttpResponse:
    """Ask support to delete an account and its data. Nothing is deleted by this: two people decide.

    While such a request is open, asking again is the first one again (200).
    """
    caller = caller_of(request)

    def work() -> tuple[int, str]:
        account = locked_account(account_id)
        with notices.sent_if(body.notify):
            made, new = ask(account, kind=RequestKind.DELETION, message=body.message, by=caller.actor, at=caller.at)
        return 201 if new else 200, str(made.pk)

    status, made, replayed = once(request, work, token=caller.row, at=caller.at)
    asked = account_of(account_id).requests.get(pk=made)
    told = DeletionTold(
        reference=asked.reference, asked_at=asked.made_at, answer_due_at=asked.due_at, decided_at=asked.decided_at
    )
    return answer(request, told, status=status, replayed=replayed)
