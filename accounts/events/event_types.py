"""What others are told of an account itself: its people, its data, its end."""

from accounts.customers.event_kinds import AccountEvent
from accounts.events.message_type import MessageType

ACCOUNT_TYPES = (
    MessageType(
        "account.erasing",
        "The erasing of all the account's data has begun: there is no way back. Nothing follows but `account.erased`.",
        {"purge": "our number of the erasing"},
        {AccountEvent.PURGE_STARTED: lambda event: {"purge": event.facts["purge"]}},
        last_words=True,
    ),
    MessageType(
        "account.erased",
        "All data are erased, and that is proven. The last message of an account.",
        {"purge": "our number of the erasing", "certificate": "the number of its certificate"},
        {
            AccountEvent.PURGE_VERIFIED: lambda event: {
                "purge": event.facts["purge"],
                "certificate": event.facts["certificate"],
            }
        },
        last_words=True,
    ),
)
