"""Whether a run can go on with what the archives hold."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.clips.errors import ClipsError
from pipeline.clips.records import Fault
from pipeline.clips.settings import CorpusSettings
from pipeline.clips.validation import Findings

_NAMED = 10  # faults that the message lists; the report holds all


class TooManyFaultsError(ClipsError):
    """More rows or recordings are bad than `max_bad_share` allows; the message names the first ten."""


class NothingToTrainError(ClipsError):
    """No usable clip is left, or none with a label where labels are needed; the message says what was wrong."""


def judge(findings: Findings, settings: CorpusSettings, labels_required: bool, told_by: str = "label") -> None:
    """Raise `NothingToTrainError` or `TooManyFaultsError` where a run cannot go on.

    Rows and audio files without a row are weighed apart, so that a heap of unlabelled audio does not hide bad labels.
    `told_by` names for people what labels a clip: its label or its text.
    """
    usable = [record for record in findings.records if record.label is not None or not labels_required]
    if not usable:
        wanted = f"usable clip with a {told_by}" if labels_required else "usable clip"
        held = f"{findings.rows} rows, {sum(source.audio_files for source in findings.sources)} audio files"
        message = f"nothing can be trained: no {wanted} in {', '.join(_names(findings))} ({held})."
        raise NothingToTrainError(f"{message} {_first(findings.faults)}{_remarks(findings)}".strip())
    bad_rows = sum(fault.row is not None for fault in findings.faults) + sum(source.lost for source in findings.sources)
    bad_files = sum(fault.row is None and fault.code != "bad_table" for fault in findings.faults)
    for bad, total, what in (
        (bad_rows, findings.rows, "rows"),
        (bad_files, findings.loose, "audio files without a row"),
    ):
        refuse_too_many(bad, total, what, findings.faults, settings.max_bad_share)


def refuse_too_many(bad: int, total: int, what: str, faults: Sequence[Fault], max_bad_share: float) -> None:
    """Raise `TooManyFaultsError` where more than that share of `total` are `bad`; `what` names them in the plural."""
    if total and bad / total > max_bad_share:
        raise TooManyFaultsError(
            f"{bad} of {total} {what} cannot be used: {bad / total:.1%}, more than max_bad_share "
            f"({max_bad_share:.1%}). {_first(faults)}Mend them, or raise max_bad_share"
        )


def _names(findings: Findings) -> list[str]:
    return [source.namespace for source in findings.sources]


def _first(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    lines = "".join(f"\n  {fault}" for fault in faults[:_NAMED])
    more = f"\n  and {len(faults) - _NAMED} more in the report" if len(faults) > _NAMED else ""
    return f"What is wrong:{lines}{more}\n"


def _remarks(findings: Findings) -> str:
    return "".join(f"\n  {note}" for note in findings.notes)
