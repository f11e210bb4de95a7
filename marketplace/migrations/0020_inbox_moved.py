"""The inbox is the app's below (`accounts.inbox`), which has taken its two tables over as they are."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0022_inbox"),
        ("marketplace", "0019_triggers_of_field_terms"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel("Delivery"), migrations.DeleteModel("RefusedMessage")],
        ),
        migrations.AlterField(
            "tombstone",
            "source",
            models.CharField(
                choices=[("github", "GitHub"), ("aws_events", "AWS")], max_length=12, verbose_name="marketplace"
            ),
        ),
    ]
