"""Reads the members of a skops file, none of which is longer than the file's directory says."""

from __future__ import annotations

from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo


class Archive(ZipFile):
    """A zip file that unpacks no more of a member than its announced size.

    `ZipFile.read` unpacks a member completely before it cuts it to that size, so that a limit on
    the announced sizes alone bounds no memory.
    """

    def read(self, name: str | ZipInfo, pwd: bytes | None = None) -> bytes:
        """Return the content of a member.

        Raises:
            BadZipFile: The member is damaged, or compressed in a way whose output has no bound.
        """
        member = name if isinstance(name, ZipInfo) else self.getinfo(name)
        if member.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
            raise BadZipFile(f"compression of type {member.compress_type}")
        with self.open(member, pwd=pwd) as content:
            return content.read(member.file_size)
