from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

#: How what is encrypted begins (Fernet, version 128, written in base 64).
ENCRYPTED = "gAAAA"


def encrypt_secrets(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Secrets of authenticators, seeds of recovery codes and codes taken over from elsewhere, until now plain text."""
    from accounts.core.encryption import encrypt

    def encrypted(text: str) -> str:
        return text if text.startswith(ENCRYPTED) else encrypt(text).decode("ascii")

    for authenticator in apps.get_model("mfa", "Authenticator").objects.exclude(type="webauthn").iterator():
        for name in ("secret", "seed"):
            if text := authenticator.data.get(name):
                authenticator.data[name] = encrypted(text)
        if codes := authenticator.data.get("migrated_codes"):
            authenticator.data["migrated_codes"] = [encrypted(code) for code in codes]
        authenticator.save(update_fields=["data"])


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_due_work"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [
        migrations.RunPython(encrypt_secrets, migrations.RunPython.noop, elidable=True),
    ]
