"""Why an archive is not taken in; why one file of it is not stands in its list of failures."""

from __future__ import annotations

import errno


class IntakeError(ValueError):
    """An archive that is refused as a whole; `code` is stable and for machines, the message is for people.

    Codes: `empty_batch`, `too_many_files`, `too_large`, `truncated`, `bad_archive`, `unsupported_archive`,
    `unsafe_archive`, `bad_folder`, `disk_full`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def disk_full(error: OSError) -> IntakeError | None:
    """What to say where a disk or a quota of one is full; None where the fault is another."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return IntakeError("disk_full", "the disk has no room for these files; nothing of them was kept")
