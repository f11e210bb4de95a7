from django.db import migrations, models

#: GitHub's dates are midnights in UTC: the day that they mean.
DAYS = {
    "trial_ends_at": ("trial_ends_on", "trial ends"),
    "next_billing_at": ("next_billing_on", "next billing"),
    "effective_at": ("effective_on", "in effect since"),
    "pending_effective_at": ("pending_effective_on", "pending change takes effect"),
}


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0011_topic_error"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL TIME ZONE 'UTC'", migrations.RunSQL.noop),
        *(migrations.RenameField("customer", before, after) for before, (after, _name) in DAYS.items()),
        *(
            migrations.AlterField("customer", after, models.DateField(blank=True, null=True, verbose_name=name))
            for after, name in DAYS.values()
        ),
        migrations.AddField(
            "customer", "bought_again_on", models.DateField(blank=True, null=True, verbose_name="bought again")
        ),
        migrations.AddField(
            "customer",
            "pending_seats",
            models.PositiveIntegerField(blank=True, null=True, verbose_name="pending seats"),
        ),
        migrations.AddField(
            "customer",
            "doubt",
            models.CharField(
                blank=True,
                choices=[("same_day", "dated the day of a new purchase"), ("ahead", "dated ahead")],
                default="",
                max_length=10,
                verbose_name="cancellation in doubt",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "customer",
            "doubt_received_at",
            models.DateTimeField(blank=True, null=True, verbose_name="doubtful cancellation received"),
        ),
        migrations.AddField(
            "customer", "doubt_until", models.DateTimeField(blank=True, null=True, verbose_name="counts from")
        ),
        migrations.AddField(
            "customer",
            "conflict_since",
            models.DateTimeField(blank=True, null=True, verbose_name="double purchase since"),
        ),
        migrations.AddIndex(
            "customer",
            models.Index(
                condition=models.Q(("doubt_until__isnull", False)), fields=["doubt_until"], name="customer_in_doubt"
            ),
        ),
        migrations.AddConstraint(
            "customer",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("doubt", ""), ("doubt_received_at", None), ("doubt_until", None)),
                    models.Q(
                        ("doubt__in", ["same_day", "ahead"]),
                        ("doubt_received_at__isnull", False),
                        ("doubt_until__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="customer_doubt_is_whole",
            ),
        ),
        migrations.AddConstraint(
            "customer",
            models.CheckConstraint(
                condition=models.Q(("doubt", ""), ("cancelled_at", None), _connector="OR"),
                name="customer_doubt_before_cancellation",
            ),
        ),
        migrations.AlterField(
            "delivery",
            "outcome",
            models.CharField(
                blank=True,
                choices=[
                    ("applied", "applied"),
                    ("no_change", "nothing to change"),
                    ("stale", "older than what is known"),
                    ("repeated", "a body that came before: left to the marketplace's own answer"),
                    ("asked", "left to the marketplace's own answer"),
                    ("unknown", "of a kind that is not known here"),
                ],
                max_length=20,
                verbose_name="outcome",
            ),
        ),
    ]
