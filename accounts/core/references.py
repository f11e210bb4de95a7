"""Reference numbers that people read out on the phone."""

import re
import secrets

from accounts.core import foreign_input

#: Crockford's alphabet without U: no letter that is taken for a digit, no accidental words.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_reference(prefix: str) -> str:
    """A reference such as `CAN-7K3M-9QPT`: forty random bits, so two in a million rows meet once in a million tries.

    The column that stores it is unique all the same.
    """
    letters = [secrets.choice(ALPHABET) for _ in range(8)]
    return f"{prefix}-{''.join(letters[:4])}-{''.join(letters[4:])}"


def canonical(text: str) -> str:
    """A reference as it is stored, however it was written down or heard; empty for what can't be one.

    Blanks, hyphens and signs around it do not count, and who reads O and I for 0 and 1 is understood.
    """
    found = _REFERENCE.fullmatch(foreign_input.key(text))
    if found is None:
        return ""
    letters = found[2].translate(_HEARD)
    return f"{found[1]}-{letters[:4]}-{letters[4:]}"


#: A prefix and eight letters of the alphabet, or what is taken for one.
_REFERENCE = re.compile(r"([A-Z]{3})([0-9A-Z]{8})")
_HEARD = str.maketrans("OIL", "011")
