"""What an app adds to Offboard, declared in one place.

Each app has an `extension.py` with one `EXTENSION`, its table of contents, which its `AppConfig.ready` installs. A
product of the vendor's own is declared in the same way: nothing here knows who declares.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from django.db.models import TextChoices
from django.utils.functional import Promise

from accounts import certificate_words, personal_data
from accounts.api import application, calls, doors, tokens
from accounts.api.application import Doors
from accounts.customers import entitlements, features, history, losses, product
from accounts.customers.entitlements import Answer
from accounts.customers.event_kinds import INTERNAL, AccountEvent
from accounts.customers.features import Feature
from accounts.customers.losses import Loss, Stay
from accounts.customers.product import DemoContent, Entry, Page
from accounts.customers.product_file import ProductFile
from accounts.desk.account_page import panels, search, timeline
from accounts.desk.account_page.panels import Panel
from accounts.desk.account_page.search import Finder
from accounts.desk.actions import action, denied
from accounts.desk.actions.action import Act
from accounts.desk.bulk import worker as bulk_worker
from accounts.desk.dashboard import figures, first_steps
from accounts.desk.dashboard import page as dashboard
from accounts.desk.dashboard.figures import Figure
from accounts.desk.dashboard.first_steps import FirstStep
from accounts.desk.own import account_actions, deliveries, endpoint_actions, request_actions, token_actions
from accounts.desk.own import elsewhere as own_elsewhere
from accounts.desk.own import figures as own_figures
from accounts.desk.own import panels as own_panels
from accounts.elsewhere import collecting, obliging, store
from accounts.elsewhere import runner as elsewhere
from accounts.elsewhere.remote_erasure import RemoteErasure
from accounts.elsewhere.store import RemoteStore
from accounts.erasure import certificate_words as erasure_words
from accounts.erasure import holds, inventory, last_mail, mail_folder, outside, runner, starting
from accounts.erasure.certificate_words import Group
from accounts.erasure.inventory import Eraser, Keeper, Kept, PaidBack, Remains, Store
from accounts.erasure.outside import Outside
from accounts.erasure.purge import Purge
from accounts.erasure.starting import ReasonToWait
from accounts.events import entitlements_told, fan_out, message_type, publishing, telling
from accounts.events import sending as event_sending
from accounts.events.event_types import ACCOUNT_TYPES
from accounts.events.message_type import MessageType, ToldToo
from accounts.exports import builder, export, parts
from accounts.exports import elsewhere as exported_elsewhere
from accounts.exports.parts import Part
from accounts.inbox import inbox, refused_messages, retention
from accounts.inbox import sources as senders
from accounts.inbox.sources import InboxSource
from accounts.jobs import invariants, measures, surroundings, sweeps
from accounts.jobs.invariants import Invariant
from accounts.jobs.measures import Deadline
from accounts.jobs.surroundings import Surrounding
from accounts.jobs.sweeps import Sweep
from accounts.mail import sending
from accounts.people import inviting
from accounts.signing_in import session
from accounts.support import answers, deletion, ownership, requests, routing
from accounts.support.routing import Router


class Installable(Protocol):
    """What an app declares to another than this one, such as a channel to `subscriptions`."""

    def install(self) -> None: ...


@dataclass(frozen=True)
class Extension:
    """All that an app adds. What it leaves out it does not have."""

    #: The pages of a product: the module of its URLs, what is shown at `/`, its places in the navigation.
    urls: str = ""
    home: Page | None = None
    navigation: tuple[Entry, ...] = ()
    #: What an account of the demo has made; who sells contracts, in the middle of a sentence.
    demo: tuple[DemoContent, ...] = ()
    sales_team: str | Promise = ""
    #: What plans can grant; what an account loses with a plan, and what it keeps.
    features: tuple[Feature, ...] = ()
    losses: tuple[Loss, ...] = ()
    stays: tuple[Stay, ...] = ()
    #: What can happen to an account, in words; `internal_event_kinds` are shown to staff alone.
    event_kinds: type[TextChoices] | None = None
    internal_event_kinds: frozenset[str] = frozenset()
    #: What the vendor's other systems are told of it (`accounts.events`).
    messages: tuple[MessageType | ToldToo, ...] = ()
    #: The jobs, in the order in which `manage.py sweep` runs them, and what must never be true for long.
    sweeps: tuple[Sweep, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    #: What must be so around the rows, and the promises with a date whose margins operators watch.
    surroundings: tuple[Surrounding, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    #: Who tells us something, and who here understands it.
    inbox_sources: tuple[InboxSource, ...] = ()
    #: Where data of an account lies, children before parents, and what a purge does there.
    personal_data: tuple[Store | Kept, ...] = ()
    erasers: tuple[Eraser, ...] = ()
    keepers: tuple[Keeper, ...] = ()
    folders: tuple[Callable[[uuid.UUID], str], ...] = ()
    #: What is left of an erased account with others, such as a payment provider: the certificate says so.
    remains: tuple[Remains, ...] = ()
    #: Other systems of the vendor's that hold data of accounts, asked over HTTP to erase it.
    remote_stores: tuple[RemoteStore, ...] = ()
    #: Others who are asked to erase what they hold, and for whom a certificate waits.
    outside: tuple[Outside, ...] = ()
    #: Money that went back to who is being erased: the certificate says so, too.
    paid_back: tuple[PaidBack, ...] = ()
    #: What people call what is erased and kept; by default as the models call themselves, under the app's name.
    certificate_groups: tuple[Group, ...] = ()
    #: Why an account's data must not be erased yet.
    reasons_to_wait: tuple[ReasonToWait, ...] = ()
    export_parts: tuple[Part, ...] = ()
    #: What its owner must settle before an account can be deleted, what is not renewed once the deletion is approved,
    #: and what ends when the erasing begins.
    deletion_obstacles: tuple[deletion.Obstacle, ...] = ()
    renewals: tuple[deletion.Renewal, ...] = ()
    before_erasing: tuple[starting.BeforeErasing, ...] = ()
    #: What is about to happen to an account that somebody takes over.
    pending: tuple[ownership.Pending, ...] = ()
    #: Where requests go that are not ours alone to answer, and what keeps a request from being closed.
    routers: tuple[Router, ...] = ()
    under_way: tuple[answers.Check, ...] = ()
    #: The support desk: what staff can do, what an account's page shows, how accounts are found, the first page.
    actions: tuple[Act, ...] = ()
    panels: tuple[Panel, ...] = ()
    figures: tuple[Figure, ...] = ()
    #: What a new installation needs before it serves its first customer.
    first_steps: tuple[FirstStep, ...] = ()
    finders: tuple[Finder, ...] = ()
    timeline_sources: tuple[timeline.Source, ...] = ()
    #: Who says what an account may do; one app alone.
    entitlements: Answer | None = None
    #: Its doors of the API.
    doors: Doors | None = None
    #: What this app declares to others than `accounts`.
    also: tuple[Installable, ...] = ()

    def install(self) -> None:
        """Add everything to its registry. Once a process; raises `AlreadyRegistered` for a name that is taken."""
        history.RECORDED.add(telling.tell)
        publishing.PUBLISHED.add(fan_out.fan_out)
        publishing.PUBLISHED.add(entitlements_told.ask_again)
        product.URLS.add(*filter(None, [self.urls]))
        product.HOMES.add(*filter(None, [self.home]))
        product.NAVIGATION.add(*self.navigation)
        product.DEMO.add(*self.demo)
        product.SALES_TEAMS.add(*([self.sales_team] if self.sales_team else []))
        features.REGISTRY.add(*self.features)
        losses.REGISTRY.add(*self.losses)
        losses.STAYS.add(*self.stays)
        if self.event_kinds is not None:
            history.KINDS.add(*self.event_kinds)
            history.INTERNAL.update(self.internal_event_kinds)
        message_type.install(self.messages)
        sweeps.REGISTRY.add(*self.sweeps)
        invariants.REGISTRY.add(*self.invariants)
        surroundings.REGISTRY.add(*self.surroundings)
        measures.REGISTRY.add(*self.deadlines)
        senders.SOURCES.add(*self.inbox_sources)
        inventory.install(self.personal_data, self.erasers, self.keepers, self.folders)
        inventory.REMAINS.add(*self.remains)
        store.install(self.remote_stores)
        outside.REGISTRY.add(*self.outside)
        inventory.PAID_BACK.add(*self.paid_back)
        erasure_words.GROUPS.add(*self.certificate_groups)
        starting.REASONS_TO_WAIT.add(*self.reasons_to_wait)
        parts.REGISTRY.add(*self.export_parts)
        deletion.OBSTACLES.add(*self.deletion_obstacles)
        deletion.RENEWALS.add(*self.renewals)
        starting.BEFORE_ERASING.add(*self.before_erasing)
        ownership.PENDING.add(*self.pending)
        routing.ROUTERS.add(*self.routers)
        answers.UNDER_WAY.add(*self.under_way)
        action.REGISTRY.add(*self.actions)
        history.KINDS.add(*(act.event for act in self.actions))
        panels.REGISTRY.add(*self.panels)
        figures.REGISTRY.add(*self.figures)
        first_steps.REGISTRY.add(*self.first_steps)
        search.FINDERS.add(*self.finders)
        timeline.SOURCES.add(*self.timeline_sources)
        if self.entitlements is not None:
            entitlements.ANSWER.add(self.entitlements)
        if self.doors is not None:
            application.REGISTRY.add(self.doors)
        for declaration in self.also:
            declaration.install()


def of_file(declared: ProductFile) -> Extension:
    """What a product adds that is no app of ours, and says so in a file (`PRODUCT_FILE`)."""
    return Extension(
        home=declared.home,
        navigation=declared.navigation,
        features=declared.features,
        losses=declared.losses,
        stays=declared.stays,
    )


#: What this app itself adds.
EXTENSION = Extension(
    event_kinds=AccountEvent,
    internal_event_kinds=INTERNAL,
    messages=(*ACCOUNT_TYPES, entitlements_told.ENTITLEMENTS),
    doors=doors.DOORS,
    sweeps=(
        sending.SWEEP,
        inbox.SWEEP,
        event_sending.SWEEP,
        calls.SWEEP,
        builder.SWEEP,
        session.SWEEP,
        inviting.SWEEP,
        bulk_worker.SWEEP,
        runner.SWEEP,
        last_mail.SWEEP,
        elsewhere.SWEEP,
        collecting.SWEEP,
        retention.SWEEP,
    ),
    invariants=(
        *sending.INVARIANTS,
        *inbox.INVARIANTS,
        *publishing.INVARIANTS,
        *event_sending.INVARIANTS,
        *refused_messages.INVARIANTS,
        *requests.INVARIANTS,
        *builder.INVARIANTS,
        *bulk_worker.INVARIANTS,
        *runner.INVARIANTS,
        *last_mail.INVARIANTS,
        *elsewhere.INVARIANTS,
        *collecting.INVARIANTS,
        *denied.INVARIANTS,
        *tokens.INVARIANTS,
    ),
    surroundings=surroundings.SURROUNDINGS,
    deadlines=(
        Deadline("purge", lambda _at: Purge.objects.next_deadline()),
        Deadline("store-elsewhere", lambda _at: RemoteErasure.objects.next_promised()),
    ),
    personal_data=personal_data.PERSONAL_DATA,
    erasers=mail_folder.ERASERS,
    certificate_groups=certificate_words.GROUPS,
    folders=(export.folder,),
    outside=(obliging.OUTSIDE,),
    reasons_to_wait=(ReasonToWait("hold", holds.reason_to_wait, while_erasing=True), obliging.REASON_TO_WAIT),
    export_parts=(*parts.EXPORT_PARTS, exported_elsewhere.PART),
    pending=(ownership.deletion_pending, ownership.refund_pending),
    under_way=(deletion.under_way,),
    actions=(
        *account_actions.ACTIONS,
        *request_actions.ACTIONS,
        *token_actions.ACTIONS,
        *endpoint_actions.ACTIONS,
        *deliveries.ACTIONS,
        *own_elsewhere.ACTIONS,
    ),
    panels=(*own_panels.PANELS, own_elsewhere.PANEL),
    figures=(*dashboard.FIGURES, *own_figures.FIGURES, *deliveries.FIGURES),
    first_steps=first_steps.STEPS,
    finders=(*search.OWN_FINDERS, *deliveries.FINDERS),
    timeline_sources=(*timeline.TIMELINE_SOURCES, *deliveries.TIMELINE_SOURCES),
)
