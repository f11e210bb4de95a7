import json

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.core import signing
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

#: Carried over at once.
BATCH = 500


class _Json:
    """The serializer of Django's sessions."""

    def loads(self, text: bytes) -> object:
        return json.loads(text.decode("latin-1"))


def carry_over(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Nobody is signed out: running sessions move into the new table, hashed and encrypted. Then the old tables go.

    They held the keys of the sessions as they are, and what was remembered as plain text.
    """
    from accounts.signing_in.session import Session, SessionStore

    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_session') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute("SELECT session_key, session_data, expire_date FROM django_session WHERE expire_date > now()")
        while rows := cursor.fetchmany(BATCH):
            moved = []
            for key, data, expire_date in rows:
                try:
                    remembered = signing.loads(data, salt="django.contrib.sessions.SessionStore", serializer=_Json)
                except signing.BadSignature:
                    continue
                store = SessionStore(key)
                store._session_cache = remembered
                row = store.create_model_instance(remembered)
                row.expire_date = expire_date
                moved.append(row)
            Session.objects.bulk_create(moved, ignore_conflicts=True)
        cursor.execute("DROP TABLE IF EXISTS usersessions_usersession")
        cursor.execute("DROP TABLE django_session")
        cursor.execute("DELETE FROM django_migrations WHERE app IN ('sessions', 'usersessions')")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_search_and_names"),
    ]

    operations = [
        migrations.CreateModel(
            name="Session",
            fields=[
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                (
                    "session_key",
                    models.CharField(max_length=64, primary_key=True, serialize=False, verbose_name="session key"),
                ),
                (
                    "addresses",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        default=list,
                        size=None,
                        verbose_name="addresses, hashed",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "abstract": False,
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        condition=models.Q(("addresses", []), _negated=True),
                        fields=["addresses"],
                        name="session_addresses",
                    )
                ],
            },
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop, elidable=True),
    ]
