"""A zip archive that is written over many turns, and gone on with after any interruption.

`zipfile` keeps a note of every member in memory and can't go on with one that is half written. Here the notes are a
file of their own until the end, and where the archive stands is a few numbers, which the caller stores in the
transaction that says what has been written. Whatever a killed worker wrote after that is cut off again.
"""

import os
import shutil
import struct
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from typing import Any, Self

from accounts.core.private_files import private_folder, write_private

#: Fields that don't fit into 32 or 16 bits say so by these values and stand in an extra field instead (zip64).
_LONG, _SHORT = 0xFFFFFFFF, 0xFFFF
_VERSION, _UTF8, _DEFLATE = 45, 0x800, 8
_LOCAL, _CENTRAL = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
_LOCAL_EXTRA = struct.Struct("<2H2Q")
#: The last block of a member whose other blocks are all written: an empty one.
_LAST_BLOCK = b"\x03\x00"


class Interrupted(Exception):
    """The files are not, or not completely, where they were left: the archive has to be begun anew."""


@dataclass
class Position:
    """Where an archive stands: lengths in bytes, and the member that is open."""

    length: int = 0
    index_length: int = 0
    members: int = 0
    member: str = ""
    member_start: int = 0
    size: int = 0
    crc: int = 0


class Archive:
    """The archive at `path`, and beside it the index that becomes its last part. One member is open at a time."""

    def __init__(self, path: Path, position: Position, *, dated: datetime) -> None:
        """Go on at `position`. Raises `Interrupted` if the files don't reach up to there."""
        self.path, self.position = path, position
        self._date = (dated.year - 1980) << 9 | dated.month << 5 | dated.day
        self._time = dated.hour << 11 | dated.minute << 5 | dated.second // 2
        self._packer: Any = None
        try:
            self._body = path.open("r+b")
        except FileNotFoundError as error:
            raise Interrupted(path) from error
        try:
            self._index = index_of(path).open("r+b")
        except FileNotFoundError as error:
            self._body.close()
            raise Interrupted(path) from error
        for file, length in ((self._body, position.length), (self._index, position.index_length)):
            if file.seek(0, os.SEEK_END) < length:
                self.close()
                raise Interrupted(path)
            file.truncate(length)
            file.seek(length)

    @classmethod
    def begin(cls, path: Path, *, dated: datetime) -> Self:
        """A new archive, in place of whatever is there."""
        private_folder(path.parent)
        write_private(path, b"")
        write_private(index_of(path), b"")
        return cls(path, Position(), dated=dated)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._body.close()
        self._index.close()

    def open_member(self, name: str) -> None:
        """Begin a member. Its sizes are filled in when it is complete."""
        place = self.position
        place.member, place.member_start, place.size, place.crc = name, self._body.tell(), 0, 0
        self._body.write(self._local_header(0))

    def write(self, content: bytes) -> None:
        """Add to the open member."""
        if self._packer is None:
            self._packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.position.size += len(content)
        self.position.crc = zlib.crc32(content, self.position.crc)
        self._body.write(self._packer.compress(content))

    def close_member(self) -> None:
        """Complete the open member and note it in the index."""
        place, name = self.position, self.position.member.encode()
        self._body.write(self._packer.flush() if self._packer else _LAST_BLOCK)
        self._packer = None
        end = self._body.tell()
        packed = end - place.member_start - len(self._local_header(0))
        self._body.seek(place.member_start)
        self._body.write(self._local_header(packed))
        self._body.seek(end)
        numbers = (place.size, packed, place.member_start)
        long = [number for number in numbers if number >= _LONG]
        extra = struct.pack(f"<2H{len(long)}Q", 1, 8 * len(long), *long) if long else b""
        size, packed, start = (min(number, _LONG) for number in numbers)
        self._index.write(
            _CENTRAL.pack(
                b"PK\x01\x02",
                _VERSION,
                _VERSION,
                _UTF8,
                _DEFLATE,
                self._time,
                self._date,
                place.crc,
                packed,
                size,
                len(name),
                len(extra),
                *(0, 0, 0, 0),
                start,
            )
            + name
            + extra
        )
        place.members += 1
        place.member = ""

    def add(self, name: str, content: bytes) -> None:
        """Add a whole member."""
        self.open_member(name)
        self.write(content)
        self.close_member()

    def save(self) -> dict[str, Any]:
        """Write out everything, and say where the archive stands: what `Position` is made from again."""
        if self._packer:
            # Up to here whole bytes; what follows refers to nothing before it, so that another worker can go on.
            self._body.write(self._packer.flush(zlib.Z_FULL_FLUSH))
            self._packer = None
        self._body.flush()
        self._index.flush()
        self.position.length, self.position.index_length = self._body.tell(), self._index.tell()
        return asdict(self.position)

    def finish(self) -> int:
        """Append the index, and make sure that it is all on the disk. Returns the size of the whole."""
        self.save()
        place = self.position
        self._index.seek(0)
        shutil.copyfileobj(self._index, self._body)
        numbers = (place.members, place.members, place.index_length, place.length)
        if place.members >= _SHORT or max(numbers) >= _LONG:
            self._body.write(
                struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, _VERSION, _VERSION, 0, 0, *numbers)
                + struct.pack("<4sLQL", b"PK\x06\x07", 0, place.length + place.index_length, 1)
            )
        members = min(place.members, _SHORT)
        ends = (min(place.index_length, _LONG), min(place.length, _LONG))
        self._body.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, members, members, *ends, 0))
        self._body.flush()
        os.fsync(self._body.fileno())
        return self._body.tell()

    def content(self) -> BufferedRandom:
        """All that has been written, to be read from its beginning."""
        self._body.seek(0)
        return self._body

    def _local_header(self, packed: int) -> bytes:
        place, name = self.position, self.position.member.encode()
        return (
            _LOCAL.pack(
                b"PK\x03\x04",
                _VERSION,
                _UTF8,
                _DEFLATE,
                self._time,
                self._date,
                place.crc,
                _LONG,
                _LONG,
                len(name),
                _LOCAL_EXTRA.size,
            )
            + name
            + _LOCAL_EXTRA.pack(1, 16, place.size, packed)
        )


def index_of(path: Path) -> Path:
    """Where the index is kept until the archive is finished."""
    return path.with_suffix(".index")


def discard(path: Path) -> None:
    """Remove an unfinished archive; missing is fine."""
    path.unlink(missing_ok=True)
    index_of(path).unlink(missing_ok=True)
