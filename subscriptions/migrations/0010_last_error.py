"""A subscription says why it could not be settled, or its owner be reminded, with all the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0009_deletion_stops_renewal")]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="last_error",
            field=models.TextField(blank=True, db_default="", default="", verbose_name="last error"),
        ),
    ]
