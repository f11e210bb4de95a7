"""The types of messages, as declared: names, fields, and the table in the documents that is made of them."""

import re
from pathlib import Path

from django.conf import settings

from accounts.customers import history
from accounts.events.document import BEGIN, END, table
from accounts.events.message_type import BUILDS, TYPES

NAME = re.compile(r"[a-z_]+(\.[a-z_]+)+")
#: What every message says.
COMMON = {"event", "account", "sequence", "recorded_at", "external_id", "version", "cause"}


def test_types_are_named_as_standard_webhooks_wants_and_say_what_they_hold() -> None:
    for kind in TYPES.all():
        assert NAME.fullmatch(kind.name), kind.name
        assert kind.when.endswith("."), kind.name
        assert not COMMON & kind.fields.keys(), kind.name
        assert all(kind.fields.values()), kind.name


def test_there_is_no_renewed() -> None:
    assert not [kind.name for kind in TYPES.all() if "renew" in kind.name]


def test_what_is_told_of_can_happen() -> None:
    assert {kind for kind in BUILDS if kind not in history.KINDS} == set()
    assert {name for builds in BUILDS.values() for name, _build in builds} <= {kind.name for kind in TYPES.all()}


def test_the_table_in_the_documents_is_what_is_declared() -> None:
    path = Path(settings.BASE_DIR) / "docs" / "events.md"
    text = path.read_text()
    written = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert written == table(), f"write between the two marks in {path.name}:\n{table()}"
