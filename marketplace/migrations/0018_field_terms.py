"""Models are called by the field's terms; their tables keep their names."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0017_doubt_older")]

    operations = [
        migrations.AlterModelTable("Customer", "marketplace_customer"),
        migrations.RenameModel("Customer", "GitHubCustomer"),
        migrations.AlterModelTable("Agreement", "marketplace_agreement"),
        migrations.RenameModel("Agreement", "AwsAgreement"),
        migrations.AlterModelTable("Refusal", "marketplace_refusal"),
        migrations.RenameModel("Refusal", "RefusedMessage"),
        migrations.AlterModelTable("Pause", "marketplace_pause"),
        migrations.RenameModel("Pause", "RateLimitPause"),
        migrations.AlterModelTable("Step", "marketplace_step"),
        migrations.RenameModel("Step", "OffboardingStep"),
        migrations.AlterModelOptions(
            name="refusedmessage",
            options={"verbose_name": "refused message", "verbose_name_plural": "refused messages"},
        ),
    ]
