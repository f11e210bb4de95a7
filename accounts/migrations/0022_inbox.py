"""The inbox belongs to this app: whoever tells us something, it is stored here first.

Tables and columns keep their names, so that processes of before go on beside those of after. Only the models move, with
what is known of them by name: their content types, which permissions and the admin's log hang on, and what staff did.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models

import accounts.inbox.sources

#: No row is rewritten: the columns only take longer names.
LONGER_NAMES = """
ALTER TABLE marketplace_delivery
      ALTER COLUMN source TYPE varchar(40), ALTER COLUMN listing TYPE varchar(40);
ALTER TABLE marketplace_refusal ALTER COLUMN source TYPE varchar(40);
"""
SHORTER_NAMES = """
ALTER TABLE marketplace_delivery
      ALTER COLUMN source TYPE varchar(12), ALTER COLUMN listing TYPE varchar(10);
ALTER TABLE marketplace_refusal ALTER COLUMN source TYPE varchar(12);
"""
MOVED = ("delivery", "refusedmessage")


def move(before, after):
    def move_names(apps, schema_editor):
        types = apps.get_model("contenttypes", "ContentType")
        types.objects.filter(app_label=before, model__in=MOVED).update(app_label=after)
        actions = apps.get_model("accounts", "StaffAction")
        for model in MOVED:
            label = f"{before}.{model}:"
            for action in actions.objects.filter(target__startswith=label).iterator():
                actions.objects.filter(pk=action.pk).update(target=f"{after}.{model}:{action.target[len(label) :]}")

    return move_names


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0021_product_moves_out"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("marketplace", "0019_triggers_of_field_terms"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(LONGER_NAMES, SHORTER_NAMES)],
            state_operations=[
                migrations.CreateModel(
                    name="Delivery",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("attempts", models.PositiveIntegerField(default=0, verbose_name="attempts")),
                        ("last_error", models.TextField(blank=True, verbose_name="last error")),
                        (
                            "source",
                            models.CharField(
                                choices=accounts.inbox.sources.source_choices, max_length=40, verbose_name="source"
                            ),
                        ),
                        (
                            "hook",
                            models.CharField(blank=True, db_default="", default="", max_length=40, verbose_name="hook"),
                        ),
                        (
                            "mode",
                            models.CharField(
                                blank=True,
                                choices=accounts.inbox.sources.mode_choices,
                                db_column="listing",
                                db_default="",
                                default="",
                                max_length=40,
                                verbose_name="mode",
                            ),
                        ),
                        ("delivery_id", models.CharField(max_length=200, verbose_name="delivery id")),
                        ("event", models.CharField(max_length=100, verbose_name="event")),
                        ("content_type", models.CharField(blank=True, max_length=100, verbose_name="content type")),
                        ("body", models.BinaryField(null=True, verbose_name="body")),
                        (
                            "named",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.CharField(max_length=40),
                                blank=True,
                                null=True,
                                size=None,
                                verbose_name="named",
                            ),
                        ),
                        ("digest", models.BinaryField(max_length=32)),
                        ("received_at", models.DateTimeField(verbose_name="received")),
                        ("action", models.CharField(blank=True, max_length=100, verbose_name="action")),
                        ("account_id", models.UUIDField(blank=True, db_index=True, null=True, verbose_name="account")),
                        (
                            "external_account",
                            models.CharField(
                                blank=True,
                                db_column="marketplace_account",
                                max_length=60,
                                verbose_name="account at the sender",
                            ),
                        ),
                        ("processed_at", models.DateTimeField(blank=True, null=True, verbose_name="processed")),
                        (
                            "outcome",
                            models.CharField(
                                blank=True,
                                choices=[
                                    ("applied", "applied"),
                                    ("no_change", "nothing to change"),
                                    ("stale", "older than what is known"),
                                    ("repeated", "a body that came before: left to the sender's own answer"),
                                    ("asked", "left to the sender's own answer"),
                                    ("test", "a test: nothing of a customer's"),
                                    ("unknown", "of a kind that is not known here"),
                                ],
                                max_length=20,
                                verbose_name="outcome",
                            ),
                        ),
                        ("alert", models.CharField(blank=True, max_length=300, verbose_name="alert")),
                        ("next_attempt_at", models.DateTimeField(blank=True, null=True, verbose_name="next attempt")),
                    ],
                    options={
                        "verbose_name": "delivery",
                        "verbose_name_plural": "deliveries",
                        "db_table": "marketplace_delivery",
                        "indexes": [
                            models.Index(
                                condition=models.Q(("processed_at", None)),
                                fields=["next_attempt_at", "id"],
                                name="delivery_due",
                            ),
                            models.Index(
                                condition=models.Q(
                                    models.Q(("attempts__gt", 0), ("next_attempt_at", None), _connector="OR"),
                                    ("processed_at", None),
                                ),
                                fields=["next_attempt_at", "id"],
                                name="delivery_failing",
                            ),
                            models.Index(
                                condition=models.Q(("alert", ""), _negated=True), fields=["id"], name="delivery_alert"
                            ),
                            models.Index(fields=["digest", "received_at"], name="delivery_digest"),
                            models.Index(fields=["external_account", "-received_at"], name="delivery_of_customer"),
                            django.contrib.postgres.indexes.GinIndex(
                                condition=models.Q(("body__isnull", False)), fields=["named"], name="delivery_by_named"
                            ),
                            models.Index(
                                condition=models.Q(("body__isnull", False)),
                                fields=["received_at"],
                                name="delivery_with_a_body",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("source", "hook", "delivery_id"), name="delivery_is_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("processed_at", None), models.Q(("outcome", ""), _negated=True), _connector="OR"
                                ),
                                name="delivery_processed_has_an_outcome",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RefusedMessage",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "source",
                            models.CharField(
                                choices=accounts.inbox.sources.source_choices, max_length=40, verbose_name="source"
                            ),
                        ),
                        (
                            "reason",
                            models.CharField(
                                choices=accounts.inbox.sources.refusal_choices, max_length=20, verbose_name="reason"
                            ),
                        ),
                        ("hour", models.DateTimeField(verbose_name="hour")),
                        (
                            "claimed",
                            models.CharField(
                                blank=True, db_column="topic", max_length=300, verbose_name="claimed sender"
                            ),
                        ),
                        ("count", models.PositiveBigIntegerField(default=1, verbose_name="how often")),
                        ("first_at", models.DateTimeField(verbose_name="first")),
                        ("last_at", models.DateTimeField(verbose_name="last")),
                    ],
                    options={
                        "verbose_name": "refused message",
                        "verbose_name_plural": "refused messages",
                        "db_table": "marketplace_refusal",
                        "indexes": [models.Index(fields=["last_at"], name="refusal_last_at")],
                        "constraints": [
                            models.UniqueConstraint(fields=("source", "reason", "hour"), name="refusal_one_an_hour")
                        ],
                    },
                ),
            ],
        ),
        migrations.RunPython(move("marketplace", "accounts"), move("accounts", "marketplace")),
    ]
