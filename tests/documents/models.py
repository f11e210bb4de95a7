import uuid
from typing import ClassVar

from django.db import models

from accounts.core.write_guard import refused_while_erasing
from accounts.customers.account import Account


class Document(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="documents")
    title = models.CharField(max_length=200)

    objects: ClassVar[models.Manager["Document"]] = models.Manager()

    class Meta:
        # Nothing is written to an account that is being erased.
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.title
