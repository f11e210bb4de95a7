from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0013_hooks_listings_and_names"),
    ]

    operations = [
        migrations.AddField(
            "usertoken",
            "revocation_said_at",
            models.DateTimeField(blank=True, null=True, verbose_name="said to be revoked"),
        ),
    ]
