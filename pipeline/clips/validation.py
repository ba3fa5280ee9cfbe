"""What an archive really holds: rows matched to audio, every file decoded once, doubles found, the rest quarantined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.clips.contents import Source, SourceFindings, Vocabulary, examine
from pipeline.clips.decoded import Decoded, MakeDecoder, Progress, decode_files, default_workers
from pipeline.clips.doubles import labels_of, resolve_doubles, text_of
from pipeline.clips.records import ID_LENGTH, Candidate, ClipRecord, Double, Fault
from pipeline.clips.samples import SampleWriter
from pipeline.clips.settings import CorpusSettings
from speech.audio.decode import SAMPLE_RATE, AudioError, Quality
from speech.audio.isolated import Decoder

_NAMED = 5  # files that a remark names
_LOSSES = {"cut_short": "recordings that break off", "damaged": "damaged recordings"}


@dataclass(frozen=True)
class Findings:
    """All archives of a run: usable clips in the order of tables and files, what was left out, and remarks."""

    sources: tuple[SourceFindings, ...]
    records: tuple[ClipRecord, ...]
    faults: tuple[Fault, ...]
    doubles: tuple[Double, ...]
    notes: tuple[str, ...]
    companions: tuple[ClipRecord, ...] = ()
    """Usable clips of archives that are heard in training alone, less those that the other archives hold too."""

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)

    @property
    def loose(self) -> int:
        return sum(source.loose for source in self.sources)


def validate(
    sources: Sequence[Source],
    samples: Path,
    vocabulary: Vocabulary,
    settings: CorpusSettings,
    *,
    progress: Progress | None = None,
    make_decoder: MakeDecoder | None = None,
    workers: int | None = None,
) -> Findings:
    """Read the tables, decode every recording once into the file `samples`, find doubles.

    Nothing here is fatal but contradictory aliases (`VocabularyError`): whether a run can go on is judged from the
    findings. `make_decoder` gives one decoder for each of `workers` threads.
    """
    found = [examine(source, vocabulary) for source in sources]
    candidates = [candidate for one in found for candidate in one.candidates]
    faults = [fault for one in found for fault in one.faults]
    notes = [note for one in found for note in one.notes]
    make_decoder = make_decoder or (lambda: Decoder(timeout=settings.decoder_timeout_seconds))
    records: list[ClipRecord] = []
    outcomes: dict[str, _Stored | AudioError] = {}
    paths = list(dict.fromkeys(candidate.path for candidate in candidates))
    decoding = decode_files(paths, settings.audio_limits, make_decoder, workers or default_workers(), progress)
    # Closed in any case: where the disk is full, no decoder may stay behind.
    with SampleWriter(samples) as writer, closing(decoding):
        for same, outcome in decoding:
            heard = _Stored.stored(outcome, writer) if isinstance(outcome, Decoded) else outcome
            outcomes |= dict.fromkeys(same, heard)
    for candidate in candidates:
        result = outcomes[candidate.path]
        if isinstance(result, AudioError):
            faults.append(Fault(candidate.archive, candidate.row, candidate.file, result.code, str(result)))
        else:
            records.append(_record(candidate, result))
    notes += _losses(candidates, outcomes)
    said = labels_of if vocabulary.text_fault is None else text_of
    beside = {source.namespace for source in sources if source.companion}
    kept, doubles, disagreeing, remarks = resolve_doubles([r for r in records if r.archive not in beside], said)
    own = {record.content for record in records if record.archive not in beside}
    companions, *_ = resolve_doubles([r for r in records if r.archive in beside and r.content not in own], said)
    order = {source.namespace: number for number, source in enumerate(sources)}
    faults = sorted(
        faults + disagreeing, key=lambda fault: (order[fault.archive], fault.row is None, fault.row or 0, fault.file)
    )
    return Findings(
        tuple(one.findings for one in found),
        tuple(kept),
        tuple(faults),
        tuple(doubles),
        tuple(notes + remarks),
        tuple(companions),
    )


@dataclass(frozen=True)
class _Stored:
    """What is kept of a decoded file once its samples are stored."""

    sha256: str
    content: str
    source_rate: int
    channels: int
    quality: Quality
    offset: int
    length: int
    losses: tuple[str, ...]
    codec: str
    kilobits: float

    @classmethod
    def stored(cls, decoded: Decoded, writer: SampleWriter) -> _Stored:
        offset = writer.append(decoded.content, decoded.samples)
        return cls(
            decoded.sha256,
            decoded.content,
            decoded.source_rate,
            decoded.channels,
            decoded.quality,
            offset,
            len(decoded.samples),
            decoded.losses,
            decoded.codec,
            decoded.kilobits,
        )


def _losses(candidates: Sequence[Candidate], outcomes: Mapping[str, _Stored | AudioError]) -> list[str]:
    """Remarks on recordings of which a part is missing, by archive and by what is missing."""
    found: dict[tuple[str, str], list[str]] = {}
    for candidate in candidates:
        outcome = outcomes[candidate.path]
        for code in () if isinstance(outcome, AudioError) else outcome.losses:
            found.setdefault((candidate.archive, code), []).append(candidate.file)
    return [
        f"{archive}: {_LOSSES[code]} ({code}, taken as far as they decode): {', '.join(files[:_NAMED])}"
        + (f" and {len(files) - _NAMED} more" if len(files) > _NAMED else "")
        for (archive, code), files in found.items()
    ]


def _record(candidate: Candidate, heard: _Stored) -> ClipRecord:
    said: dict[str, Any] = asdict(candidate) | heard.quality.as_dict()
    del said["path"]
    return ClipRecord(
        id=heard.content[:ID_LENGTH],
        sha256=heard.sha256,
        content=heard.content,
        seconds=heard.length / SAMPLE_RATE,
        source_rate=heard.source_rate,
        channels=heard.channels,
        offset=heard.offset,
        length=heard.length,
        codec=heard.codec,
        kilobits=heard.kilobits,
        **said,
    )
