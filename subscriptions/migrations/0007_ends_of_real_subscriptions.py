from django.db import migrations, models


class Migration(migrations.Migration):
    """Who counts ends leaves out what was called off before it began, and reads the start for that."""

    dependencies = [
        ("subscriptions", "0006_retention"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="subscription", name="subscription_by_end"),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("ends_at__isnull", False)),
                fields=["ends_at"],
                include=("channel", "account", "started_at"),
                name="subscription_by_end",
            ),
        ),
    ]
