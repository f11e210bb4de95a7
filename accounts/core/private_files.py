"""Files that hold what customers own: for the user that runs the product, and for no other one of the machine."""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

#: For whoever runs the product alone.
FOLDER_MODE, FILE_MODE = 0o700, 0o600


def private_folder(path: Path) -> Path:
    """This folder, made if need be, with those above it; open to others no more, if it was. Returns it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    close_to_others(path)
    return path


def close_to_others(path: Path) -> None:
    """Close this folder to other users, if it is there, and ours; what lies in it is out of their reach then."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(FOLDER_MODE)
    except FileNotFoundError:
        return
    except PermissionError:
        log.warning("%s is open to other users of this machine, and not ours to close", path)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, in place of whatever is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, FILE_MODE)
        file.write(content)
