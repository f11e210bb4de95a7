"""Purchases are due work: the provider is asked what became of one of which nothing has been heard."""

from datetime import UTC, datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0022_refunds_at_a_provider")]

    operations = [
        migrations.AddField(
            model_name="purchase",
            name="attempts",
            field=models.PositiveIntegerField(default=0, verbose_name="attempts"),
        ),
        migrations.AddField(
            model_name="purchase",
            name="last_error",
            field=models.TextField(blank=True, default="", verbose_name="last error"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="purchase",
            name="next_attempt_at",
            # Whatever is open is asked about at once.
            field=models.DateTimeField(default=datetime(2026, 1, 1, tzinfo=UTC), verbose_name="next attempt"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="purchase",
            name="price_reference",
            field=models.CharField(blank=True, default="", max_length=255, verbose_name="the price’s id there"),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name="purchase",
            index=models.Index(
                condition=models.Q(("state", "open")), fields=["next_attempt_at", "id"], name="purchase_next"
            ),
        ),
    ]
