"""Addresses in the letters of their country are kept as the network writes them: as they are typed in and looked for."""

from typing import Any

from django.db import migrations

from accounts.core import foreign_input


def carry_over(apps: Any, schema_editor: Any) -> None:
    """Make the addresses canonical by which people sign in. One that somebody else has in that form stays as it is."""
    people, addresses = apps.get_model("accounts", "User").objects, apps.get_model("account", "EmailAddress").objects
    for person in people.filter(email__regex=r"[^\u0001-\u007f]"):
        kept = foreign_input.address_or_nothing(person.email)
        if kept and not people.filter(email=kept).exists():
            people.filter(pk=person.pk).update(email=kept)
    for address in addresses.filter(email__regex=r"[^\u0001-\u007f]"):
        kept = foreign_input.address_or_nothing(address.email)
        if kept and not addresses.filter(email=kept).exists():
            addresses.filter(pk=address.pk).update(email=kept)


class Migration(migrations.Migration):
    dependencies = [
        ("account", "0009_emailaddress_unique_primary_email"),
        ("accounts", "0013_hourly_counts"),
    ]

    operations = [migrations.RunPython(carry_over, migrations.RunPython.noop)]
