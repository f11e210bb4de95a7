"""An error of a topic is as long as any other's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0010_search_and_names")]

    operations = [
        migrations.AlterField(
            model_name="topicsubscription",
            name="last_error",
            field=models.TextField(blank=True, verbose_name="last error"),
        ),
    ]
