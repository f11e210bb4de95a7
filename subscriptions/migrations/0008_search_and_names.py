"""Staff find an order however its number is typed; no subscription ends beyond what calendars can tell."""

import datetime
from typing import Any

from django.db import migrations, models

import accounts.core.search_fields
from accounts.core import foreign_input


def carry_over(apps: Any, schema_editor: Any) -> None:
    """Write down what orders are found by, and bring ends that no calendar can tell within its bounds."""
    rows = apps.get_model("subscriptions", "Subscription").objects
    last = datetime.datetime(2099, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
    rows.filter(ends_at__gt=last, next_reminder_at__gte=last).update(
        next_reminder_at=last - datetime.timedelta(days=30)
    )
    rows.filter(ends_at__gt=last).update(ends_at=last)
    for row in rows.exclude(order_reference="").only("pk", "order_reference").iterator():
        rows.filter(pk=row.pk).update(order_key=foreign_input.key(row.order_reference))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_search_and_names"),
        ("subscriptions", "0007_ends_of_real_subscriptions"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="order_key",
            field=accounts.core.search_fields.SearchKey(
                blank=True, default="", editable=False, source="order_reference"
            ),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("order_key", ""), _negated=True),
                fields=["order_key"],
                name="subscription_by_order_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("ends_at", None),
                    ("ends_at__lt", datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC)),
                    _connector="OR",
                ),
                name="subscription_ends_in_a_year_that_can_be_meant",
            ),
        ),
    ]
