import json
from urllib.parse import parse_qs

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models

#: Rows looked at at once.
BATCH = 1000


def named_in(row):
    """The ids of all that looks like an account or a person of GitHub's; nothing where the body can't be read."""
    body = bytes(row.body)
    try:
        if row.content_type == "application/x-www-form-urlencoded":
            body = parse_qs(body.decode())["payload"][0]
        left = [json.loads(body)]
    except (ValueError, KeyError):
        return set()
    found = set()
    while left:
        value = left.pop()
        if isinstance(value, list):
            left.extend(value)
        elif isinstance(value, dict):
            if isinstance(value.get("id"), int) and "login" in value:
                found.add(str(value["id"])[:40])
            left.extend(value.values())
    return found


def search_bodies(apps, schema_editor):
    """Write down whom the bodies that are kept name, as it is done from now on when they are stored."""
    deliveries = apps.get_model("marketplace", "Delivery").objects.filter(source="github", body__isnull=False)
    last = 0
    while rows := list(deliveries.filter(pk__gt=last).order_by("pk").only("body", "content_type", "named")[:BATCH]):
        for row in rows:
            row.named = sorted(named_in(row)) or None
        deliveries.bulk_update(rows, ["named"])
        last = rows[-1].pk


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0012_dates_and_doubts_of_github"),
    ]

    operations = [
        migrations.AddField(
            "delivery",
            "hook",
            models.CharField(blank=True, db_default="", default="", max_length=40, verbose_name="hook"),
        ),
        migrations.AddField(
            "delivery",
            "listing",
            models.CharField(
                blank=True,
                choices=[("", "live"), ("draft", "draft")],
                db_default="",
                default="",
                max_length=10,
                verbose_name="listing",
            ),
        ),
        migrations.AddField(
            "delivery",
            "named",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40), blank=True, null=True, size=None, verbose_name="named"
            ),
        ),
        migrations.RemoveConstraint("delivery", "delivery_is_unique"),
        migrations.AddConstraint(
            "delivery",
            models.UniqueConstraint(fields=("source", "hook", "delivery_id"), name="delivery_is_unique"),
        ),
        migrations.AddIndex(
            "delivery",
            django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("body__isnull", False)), fields=["named"], name="delivery_by_named"
            ),
        ),
        migrations.AlterField(
            "delivery",
            "outcome",
            models.CharField(
                blank=True,
                choices=[
                    ("applied", "applied"),
                    ("no_change", "nothing to change"),
                    ("stale", "older than what is known"),
                    ("repeated", "a body that came before: left to the marketplace's own answer"),
                    ("asked", "left to the marketplace's own answer"),
                    ("test", "of a draft listing: nothing of a customer's"),
                    ("unknown", "of a kind that is not known here"),
                ],
                max_length=20,
                verbose_name="outcome",
            ),
        ),
        migrations.RunPython(search_bodies, migrations.RunPython.noop),
    ]
