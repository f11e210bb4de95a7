"""Since when an answer has been wanted: so that a question that nobody answers is seen by its age."""

from django.db import migrations, models
from django.db.models.functions import Coalesce, Greatest


def wanted_since_the_last_word(apps, schema_editor):
    """What is asked already has been wanted since the last answer or event, or since it was first due."""
    for name in ("Agreement", "Customer"):
        rows = apps.get_model("marketplace", name).objects.filter(check_at__isnull=False)
        rows.update(check_since=Coalesce(Greatest("checked_at", "event_at"), "check_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0008_forgotten_obligations"),
    ]

    operations = [
        migrations.AddField(
            model_name="agreement",
            name="check_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="answer wanted since"),
        ),
        migrations.AddField(
            model_name="customer",
            name="check_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="answer wanted since"),
        ),
        migrations.RunPython(wanted_since_the_last_word, migrations.RunPython.noop, elidable=True),
    ]
