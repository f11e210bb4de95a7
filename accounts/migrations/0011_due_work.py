"""Purges and exports count their failures under the name that all due work has."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_sessions")]

    operations = [
        migrations.RenameField(model_name="purge", old_name="failures", new_name="attempts"),
        migrations.AlterField(
            model_name="purge",
            name="attempts",
            field=models.PositiveIntegerField(default=0, verbose_name="attempts"),
        ),
        migrations.AlterField(
            model_name="export",
            name="attempts",
            field=models.PositiveIntegerField(default=0, verbose_name="attempts"),
        ),
    ]
