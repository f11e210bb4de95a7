"""The second factor: what Offboard asks of django-allauth."""

from allauth.mfa.adapter import DefaultMFAAdapter

from accounts.branding import brand
from accounts.core import encryption


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Secrets of authenticators and seeds of recovery codes are encrypted: a dump gives nobody a second factor."""

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text.encode())

    def get_totp_issuer(self) -> str:
        """Under which name an authenticator lists us: the vendor's."""
        return brand.current().name
