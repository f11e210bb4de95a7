"""Bringing customers in: of each row what is missing is added, in a transaction of its own, and nobody gets mail.

What is here already is never changed by a file: a row that contradicts it is refused. So a file can be imported again
at any time, after a kill as well as months later, and only what is missing is added.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice

from django.db import IntegrityError, transaction

from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.database.insert_together import Ids, insert_together
from accounts.database.prepared import statements_prepared
from accounts.erasure.purge import Purge
from accounts.events import telling
from accounts.events.event_types import Imported, Place
from accounts.models import Account, Event, Membership, Role, User
from subscriptions.channels import returning
from subscriptions.event_kinds import SubscriptionEvent
from subscriptions.event_types import End
from subscriptions.imports.files import Line
from subscriptions.imports.imported_row import Hashes, ImportedRow
from subscriptions.imports.present import Known, KnownPerson, Present, owner_of, present
from subscriptions.imports.refusals import RowRefused, refused
from subscriptions.imports.rehearsal import Rehearsed
from subscriptions.imports.shapes import Person, Row, external_id_in, row_in
from subscriptions.imports.terms import Told, told
from subscriptions.models import Cancellation, Channel, Plan, Subscription

#: Rows looked up together, each added by itself. More make the statements no cheaper.
TOGETHER = 250
#: Said of every line of history that an import writes.
CAUSE = "import"
#: Which rule of the database was in the way, and what that means for a row. Any other: somebody else was at it, too.
BY_RULE = {
    "subscription_one_live_an_account": "overlaps",
    "refused_while_erasing": "to_be_erased",
    "people_who_go_stay_out": "to_be_erased",
}


class Outcome(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True)
class Reported:
    """What became of one row. `subscription` is what it tells of, for the summary, unless it was refused."""

    number: int
    external_id: str
    outcome: Outcome
    code: str = ""
    text: str = ""
    subscription: Subscription | None = None


@dataclass(frozen=True)
class Missing:
    """What of a row is not here yet."""

    account: bool
    places: tuple[tuple[Person, Role], ...]
    subscription: Told | None
    #: People who are here and whose external id is not: theirs by this row.
    to_be_named: tuple[Person, ...]

    def __bool__(self) -> bool:
        return self.account or bool(self.places) or self.subscription is not None or bool(self.to_be_named)


class Importer:
    """Imports rows as of `at`. With `dry_run` it says what would become of each, and writes nothing."""

    def __init__(self, *, at: datetime, dry_run: bool = False) -> None:
        self._at = at
        self._plans = set(Plan.objects.values_list("pk", flat=True))
        self._hashes = Hashes()
        self._ids = NewIds(Ids(User), Ids(Subscription), Ids(Event))
        self._rehearsed = Rehearsed() if dry_run else None

    def run(self, lines: Iterable[Line]) -> Iterator[Reported]:
        """What became of each row, in the order of the file. All that was reported is committed."""
        lines = iter(lines)
        while batch := list(islice(lines, TOGETHER)):
            read = [(line, _read(line)) for line in batch]
            here = present([row for _line, row in read if isinstance(row, Row)], self._hashes)
            for line, row in read:
                if isinstance(row, RowRefused):
                    yield _refusal(line, row)
                    continue
                try:
                    yield self._reported(line, row, here)
                except RowRefused as refusal:
                    yield _refusal(line, refusal)

    def _reported(self, line: Line, row: Row, here: Present) -> Reported:
        """Import the row. Raises `RowRefused`, though not for what has come since the batch was looked up."""
        try:
            outcome, code, found = self._import(row, here)
        except RowRefused:
            outcome, code, found = self._import(row, present([row], self._hashes))
        return Reported(line.number, row.external_id, outcome, code, subscription=found)

    def _import(self, row: Row, here: Present) -> tuple[Outcome, str, Subscription | None]:
        customer, content = self._hashes.customer(row), self._hashes.content(row)
        subscription = told(row.subscription, at=self._at) if row.subscription else None
        found = subscription.subscription if subscription else None
        if found and found.plan_id not in self._plans:
            raise refused("unknown_plan")
        imported = here.imported.get(customer, set())
        known = here.accounts.get(row.external_id)
        if imported and known is None:
            raise refused("erased")
        if content in imported:
            return Outcome.UNCHANGED, "", found
        if self._rehearsed and known is None and (earlier := self._rehearsed.told(customer)):
            return (Outcome.UNCHANGED if earlier == content else Outcome.CHANGED), "told_before", found
        missing = _missing(row, subscription, known, here)
        if not missing:
            return Outcome.UNCHANGED, "", found
        if self._rehearsed is None:
            self._add(row, missing, known, here, customer, content)
        elif missing.account:
            self._rehearsed.note(customer, content)
        return (Outcome.CREATED if missing.account else Outcome.CHANGED), "", found

    def _add(
        self, row: Row, missing: Missing, known: Known | None, here: Present, customer: bytes, content: bytes
    ) -> None:
        """Write what is missing, and what is here from now on. Raises `RowRefused`; then nothing was written."""
        new = New(row, missing, known, here, self._at, self._ids)
        note = ImportedRow(account_id=new.account.pk, customer=customer, content=content, imported_at=self._at)
        try:
            with statements_prepared(), transaction.atomic():
                if known is not None:
                    _lock(known, missing, self._at)
                for person in missing.to_be_named:
                    User.objects.filter(email=person.email, external_id=None).update(external_id=person.external_id)
                insert_together(
                    [new.account] if missing.account else [],
                    new.users,
                    new.places,
                    new.subscriptions,
                    new.cancellations,
                    new.events,
                    telling.rows(new.events, external_id=row.external_id),
                    [note],
                )
        except IntegrityError as error:
            raise refused(BY_RULE.get(_rule(error), "conflict")) from None
        known = known or Known(new.account.pk, new.account.name)
        here.add_account(row.external_id, known)
        for user in new.users:
            here.add_person(user.email, KnownPerson(user.pk, user.external_id))
        for person in missing.to_be_named:
            here.add_person(person.email, KnownPerson(here.people[person.email].id, person.external_id))
        known.roles.update({place.user_id: place.role for place in new.places})
        for subscription in new.subscriptions:
            here.add_subscription(known, subscription)
        here.imported.setdefault(customer, set()).add(content)


@dataclass(frozen=True)
class NewIds:
    """Keys of rows to come."""

    users: Ids
    subscriptions: Ids
    events: Ids


class New:
    """The rows of all tables that are missing, not written yet."""

    def __init__(
        self,
        row: Row,
        missing: Missing,
        known: Known | None,
        here: Present,
        at: datetime,
        ids: "NewIds",
    ) -> None:
        self._at, self._ids = at, ids
        began = row.created_at or at
        self.account = Account(name=row.name, external_id=row.external_id, created_at=began)
        if known:
            self.account.pk = known.id
        told = [person for person, _role in missing.places]
        self.users = [_user(person, ids.users.take(), at) for person in told if here.person(person) is None]
        user_ids = {user.email: user.pk for user in self.users}
        self.places = [
            Membership(
                account=self.account,
                user_id=user_ids.get(person.email) or here.people[person.email].id,
                role=role,
                joined_at=person.joined_at or began,
            )
            for person, role in missing.places
        ]
        self.subscriptions: list[Subscription] = []
        self.cancellations: list[Cancellation] = []
        # External ids of people are canonical in a row, and theirs from now on.
        places = [
            Place(place.user_id, person.external_id or _known_id(here, person), str(role))
            for place, (person, role) in zip(self.places, missing.places, strict=True)
        ]
        imported = Imported(missing.account, places)
        self.events = [self._line(AccountEvent.ACCOUNT_IMPORTED, at=at, subject=imported, members=len(self.places))]
        if missing.subscription:
            self._add_subscription(missing.subscription, ids.subscriptions.take())

    def _add_subscription(self, told: Told, pk: int) -> None:
        """With its history, at the instants at which it happened; what lies ahead, as of now."""
        subscription, cancellation = told.subscription, told.cancellation
        subscription.pk, subscription.account = pk, self.account
        self.subscriptions.append(subscription)
        facts = {"subscription": pk, "plan": subscription.plan_id, "channel": subscription.channel}
        began = subscription.started_at
        kind = (
            SubscriptionEvent.CONTRACT_ENTERED
            if subscription.channel == Channel.DATADOG_SALES
            else SubscriptionEvent.SUBSCRIPTION_STARTED
        )
        ahead = {"starts_at": began.isoformat()} if began > self._at else {}
        self.events.append(
            self._line(kind, at=min(began, self._at), subject=subscription, seats=subscription.seats, **facts, **ahead)
        )
        if cancellation:
            cancellation.subscription = subscription
            self.cancellations.append(cancellation)
            self.events.append(
                self._line(
                    SubscriptionEvent.CANCELLATION_REQUESTED,
                    at=cancellation.requested_at,
                    subject=cancellation,
                    subscription=pk,
                    reference=cancellation.reference,
                    effective_at=cancellation.effective_at.isoformat(),
                )
            )
        if told.is_over and subscription.ends_at:
            carried_out = [cancellation] if cancellation and cancellation.carried_out_at else []
            end = End(subscription, carried_out)
            self.events.append(
                self._line(SubscriptionEvent.SUBSCRIPTION_ENDED, at=subscription.ends_at, subject=end, **facts)
            )

    def _line(self, kind: history.Kind, *, at: datetime, subject: object, **facts: object) -> Event:
        line = history.line(self.account.pk, kind, at=at, by=Actor.system(), subject=subject, cause=CAUSE, **facts)
        line.pk = self._ids.events.take()
        return line


def _known_id(here: Present, person: Person) -> str | None:
    known = here.person(person)
    return known.external_id if known else None


def _lock(known: Known, missing: Missing, at: datetime) -> None:
    """Hold the account that is here already, and ask again what may have come since it was looked up."""
    account = Account.objects.select_for_update(no_key=True).filter(pk=known.id).first()
    if account is None or account.purging_at or Purge.objects.open().filter(account_id=known.id).exists():
        raise refused("to_be_erased")
    if account.deactivated_at:
        raise refused("deactivated")
    if missing.subscription and not missing.subscription.is_over:
        returning.come_back(account, at=at, by=Actor.system())


def _read(line: Line) -> Row | RowRefused:
    if line.refusal or line.document is None:
        return line.refusal or refused("json")
    try:
        return row_in(line.document)
    except RowRefused as refusal:
        return refusal


def _refusal(line: Line, refusal: RowRefused) -> Reported:
    external_id = external_id_in(line.document) if line.document else ""
    return Reported(line.number, external_id, Outcome.REFUSED, refusal.code, refusal.text)


def _missing(row: Row, subscription: Told | None, known: Known | None, here: Present) -> Missing:
    """What is not here yet of a row. Raises `RowRefused` where it contradicts what is here."""
    places = ((row.owner, Role.OWNER), *((member, Role(member.role)) for member in row.members))
    if len({person.email for person, _role in places}) < len(places):
        raise refused("two_places")
    to_be_named = tuple(person for person in row.people() if _is_to_be_named(person, here))
    if known is None:
        _refuse_taken(subscription, None, here)
        return Missing(True, places, subscription, to_be_named)
    if known.name != row.name:
        raise refused("name_differs")
    found = Missing(
        account=False,
        places=tuple(place for place in places if _is_missing(place, known, here)),
        subscription=subscription if subscription and not _is_held(subscription, known, here) else None,
        to_be_named=to_be_named,
    )
    if found and known.is_to_be_erased:
        raise refused("to_be_erased")
    if found and known.is_deactivated:
        raise refused("deactivated")
    return found


def _is_to_be_named(person: Person, here: Present) -> bool:
    """Whether the person is here and only the external id is missing. Raises `RowRefused` for another person's."""
    if person.external_id is None:
        return False
    known = here.person(person)
    if here.addresses.get(person.external_id, person.email) != person.email:
        raise refused("person_differs")
    if known and known.external_id not in (None, person.external_id):
        raise refused("person_differs")
    return known is not None and known.external_id is None


def _is_missing(place: tuple[Person, Role], known: Known, here: Present) -> bool:
    person, role = place
    found = here.person(person)
    held = known.roles.get(found.id) if found else None
    owner = owner_of(known)
    if role == Role.OWNER and owner is not None and held != Role.OWNER:
        raise refused("owner_differs")
    if held is not None and held != role:
        raise refused("role_differs")
    return held is None


def _is_held(told: Told, known: Known, here: Present) -> bool:
    """Whether the account has this subscription, by its external id or else by its beginning."""
    new = told.subscription
    _refuse_taken(told, known, here)
    for held in known.subscriptions:
        if held.external_id == new.external_id if new.external_id else held.started_at == new.started_at:
            if _terms_of(held) != _terms_of(new):
                raise refused("subscription_differs")
            return True
    if any(_overlap(held, new) for held in known.subscriptions):
        raise refused("overlaps")
    return False


def _refuse_taken(told: Told | None, known: Known | None, here: Present) -> None:
    external_id = told.subscription.external_id if told else None
    holder = here.subscriptions.get(external_id) if external_id else None
    if holder is not None and (known is None or holder != known.id):
        raise refused("subscription_taken")


def _terms_of(held: Subscription) -> tuple[object, ...]:
    return (
        held.plan_id,
        held.channel,
        held.interval,
        held.seats,
        held.cents,
        held.currency,
        held.started_at,
        held.anchor_at,
        held.ends_at,
    )


def _overlap(one: Subscription, other: Subscription) -> bool:
    return (one.ends_at is None or other.started_at < one.ends_at) and (
        other.ends_at is None or one.started_at < other.ends_at
    )


def _user(person: Person, pk: int, at: datetime) -> User:
    """Somebody who gets in by resetting the password: the link proves the address, which a file can't."""
    user = User(
        pk=pk,
        email=person.email,
        name=person.name,
        external_id=person.external_id,
        language=person.language,
        time_zone=person.time_zone,
        joined_at=person.joined_at or at,
    )
    user.set_unusable_password()
    return user


def _rule(error: IntegrityError) -> str:
    """The rule of the database that was in the way."""
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "")
