"""Reference numbers that people read out on the phone."""

import secrets

#: Crockford's alphabet without U: no letter that is taken for a digit, no accidental words.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_reference(prefix: str) -> str:
    """A reference such as `CAN-7K3M-9QPT`: forty random bits, so two in a million rows meet once in a million tries.

    The column that stores it is unique all the same.
    """
    letters = [secrets.choice(ALPHABET) for _ in range(8)]
    return f"{prefix}-{''.join(letters[:4])}-{''.join(letters[4:])}"
