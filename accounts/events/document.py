"""The table of messages in `docs/events.md`, made of what the apps declare; a test compares the two."""

from accounts.events.message_type import TYPES

BEGIN, END = "<!-- types: made of what the apps declare -->", "<!-- end of types -->"


def table() -> str:
    """Every type, when it is sent, and its own fields, in Markdown."""
    rows = ["| type | when | fields of its own |", "| --- | --- | --- |"]
    for kind in sorted(TYPES.all(), key=lambda kind: kind.name):
        fields = "; ".join(f"`{name}`: {meaning}" for name, meaning in kind.fields.items())
        rows.append(f"| `{kind.name}` | {kind.when} | {fields} |")
    return "\n".join(rows)
