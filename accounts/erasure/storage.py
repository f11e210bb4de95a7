"""A purge's files: those written down with the rows that named them, then whatever else lies in the account's folders.

Called by `accounts.erasure.runner` when all rows are gone.
"""

import uuid
from collections.abc import Iterator
from itertools import islice

from django.db import transaction

from accounts.erasure import file_deletions, inventory
from accounts.erasure.file_deletions import FileDeletion
from accounts.erasure.purge import Purge
from accounts.erasure.statements import lock

#: Files deleted between two notes of progress.
FILES = 500
#: The name under which files are counted.
FILE_STORE = "files"


def erase_files(purge: Purge) -> bool:
    """Delete some of the files that were written down, then write down what else lies in the account's folders.

    Returns whether there was nothing left. A file is deleted first and then counted and forgotten in one transaction:
    a kill in between deletes it twice and counts it once.
    """
    doomed = list(FileDeletion.objects.of(purge.account_id)[:FILES])
    file_deletions.delete_from_storage(doomed)
    found = [] if doomed else list(islice(files_in_folders(purge.account_id), FILES))
    with transaction.atomic():
        lock(purge)
        deleted, _by_model = FileDeletion.objects.filter(pk__in=[file.pk for file in doomed]).delete()
        FileDeletion.objects.bulk_create(
            [FileDeletion(account_id=purge.account_id, name=name) for name in found], ignore_conflicts=True
        )
        done = not doomed and not found
        if deleted or done != purge.is_done(FILE_STORE):
            purge.note(FILE_STORE, deleted, done=done)
            purge.save(update_fields=["progress"])
    if done:
        for folder in inventory.folders(purge.account_id):
            file_deletions.remove_folder(folder)
    return done


def files_in_folders(account_id: uuid.UUID) -> Iterator[str]:
    """The names of all files in the folders that are this account's alone."""
    for folder in inventory.folders(account_id):
        yield from file_deletions.files_below(folder)
