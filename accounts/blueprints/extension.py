"""What the product being sold adds to Offboard: drawings, connections to clouds, and what becomes of them.

A guest: nothing else in `accounts`, `subscriptions` or `marketplace` needs it.
"""

import uuid

from django.utils.translation import gettext_lazy as _

from accounts.blueprints import demo
from accounts.blueprints.blueprint import Blueprint
from accounts.blueprints.connection import CloudConnection
from accounts.blueprints.event_kinds import BlueprintEvent
from accounts.blueprints.features import FEATURES, LOSSES, STAYS
from accounts.blueprints.views import blueprints
from accounts.customers.product import Entry
from accounts.erasure.certificate_words import Group
from accounts.erasure.inventory import Erased, Order
from accounts.exports.parts import ID, INSTANT, OBJECTS, TEXT, Files, Rows, optional
from accounts.extension import Extension


def thumbnails(account_id: uuid.UUID) -> str:
    """The folder of the pictures of an account's blueprints."""
    return f"thumbnails/{account_id}"


EXTENSION = Extension(
    urls="accounts.blueprints.urls",
    home=blueprints.home,
    navigation=(Entry(_("Blueprints"), "home"), Entry(_("Cloud connections"), "connections")),
    demo=(demo.fill,),
    sales_team=_("Datadog's sales team"),
    features=FEATURES,
    losses=LOSSES,
    stays=STAYS,
    event_kinds=BlueprintEvent,
    personal_data=(
        Erased(
            "blueprints.CloudConnection",
            Order.CONTENT,
            lambda account: CloudConnection.objects.filter(account_id=account),
        ),
        Erased(
            "blueprints.Blueprint",
            Order.CONTENT,
            lambda account: Blueprint.objects.filter(account_id=account),
            files=("thumbnail",),
            many="account",
        ),
    ),
    folders=(thumbnails,),
    certificate_groups=(
        Group(
            "blueprints",
            _("Blueprints and cloud connections"),
            10,
            ("blueprints.Blueprint", "blueprints.CloudConnection", "accounts.Blueprint", "accounts.CloudConnection"),
        ),
    ),
    export_parts=(
        Rows(
            "blueprints.jsonl",
            lambda account: Blueprint.objects.filter(account=account),
            {
                "id": ID,
                "name": TEXT,
                "grid": TEXT,
                "components": OBJECTS,
                "thumbnail": {**TEXT, "description": "the picture's path in this archive; empty if there is none"},
                "created_at": INSTANT,
                "changed_at": INSTANT,
            },
            on_page=_("all blueprints with their pictures"),
        ),
        Files(
            "thumbnails",
            lambda account: Blueprint.objects.filter(account=account).exclude(thumbnail=""),
            "thumbnail",
            "the pictures of the blueprints; each blueprint names its own",
        ),
        Rows(
            "connections.jsonl",
            lambda account: CloudConnection.objects.filter(account=account),
            {
                "id": ID,
                "provider": TEXT,
                "name": TEXT,
                "resources": OBJECTS,
                "resources_at": optional(INSTANT),
                "created_at": INSTANT,
            },
            on_page=_("cloud connections with their newest inventories"),
        ),
    ),
)
