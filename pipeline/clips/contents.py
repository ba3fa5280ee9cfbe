"""What one unpacked archive says it holds: its table's rows, each with its audio file, and the audio beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.clips.errors import TableError
from pipeline.clips.labels import UNKNOWN_LABEL
from pipeline.clips.matching import AudioIndex, MatchError
from pipeline.clips.records import Candidate, Fault
from pipeline.clips.table import Row, Table, TextFault, read_table


@dataclass(frozen=True)
class Source:
    """One unpacked archive: the name that tells its speakers from those of others, and its folder.

    A `companion` is heard in training alone; its rows of other classes than the run's are none of its faults.
    """

    namespace: str
    folder: Path
    companion: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """Names as users write them: roles to headers, classes to labels, splits to values, each to its aliases.

    Where classes are not `exclusive`, a label cell may name several. With `text_fault` a row's text plays the part of
    its label (`pipeline.clips.table.read_table`), and audio files that no row names are left out.
    """

    columns: Mapping[str, Sequence[str]]
    classes: Mapping[str, Sequence[str]]
    splits: Mapping[str, Sequence[str]]
    exclusive: bool = True
    text_fault: TextFault | None = None


@dataclass(frozen=True)
class SourceFindings:
    """What one archive was found to be.

    `rows` counts bad ones too, `lost` those of a table that cannot be used, `loose` audio files that no row names.
    """

    namespace: str
    table: str | None
    encoding: str | None
    delimiter: str | None
    columns: Mapping[str, str]
    rows: int
    lost: int
    audio_files: int
    loose: int


@dataclass(frozen=True)
class Examined:
    """One archive before decoding."""

    findings: SourceFindings
    candidates: list[Candidate]
    faults: list[Fault]
    notes: list[str]


def examine(source: Source, vocabulary: Vocabulary) -> Examined:
    """Table and files of one archive, matched. What is wrong with either comes back as faults."""
    faults: list[Fault] = []
    lost = 0
    try:
        table = read_table(
            source.folder,
            vocabulary.columns,
            vocabulary.classes,
            vocabulary.splits,
            exclusive=vocabulary.exclusive,
            text_fault=vocabulary.text_fault,
        )
    except TableError as error:
        table, lost = Table(None), error.rows
        faults.append(Fault(source.namespace, None, "", "bad_table", str(error)))
    index = AudioIndex(source.folder)
    matched = _match(source, table, index)
    loose = [file for file in index.audio if file not in matched.claimed]
    notes = [f"{source.namespace}: {note}" for note in table.notes]
    rows = len(table.rows) + len(table.faults) + lost
    if source.companion:
        known = [fault for fault in matched.faults if fault.code != UNKNOWN_LABEL]
        others = len(matched.faults) - len(known)
        matched, rows = replace(matched, faults=known), rows - others
        notes.append(f"{source.namespace}: heard in training alone")
        if others:
            notes.append(f"{source.namespace}: {others} clips of classes that this run does not have are left out")
    if matched.renamed:
        notes.append(f"{source.namespace}: {matched.renamed} rows name another extension than their audio file has")
    if loose and vocabulary.text_fault is not None:
        notes.append(f"{source.namespace}: {len(loose)} audio files are in no row and are left out")
        loose = []
    elif loose and table.path is not None:
        notes.append(f"{source.namespace}: {len(loose)} audio files are in no row and serve pretraining only")
    findings = SourceFindings(
        namespace=source.namespace,
        table=table.path.relative_to(source.folder).as_posix() if table.path else None,
        encoding=table.encoding,
        delimiter=table.delimiter,
        columns=table.columns or {},
        rows=rows,
        lost=lost,
        audio_files=len(index.audio),
        loose=len(loose),
    )
    candidates = matched.candidates + [_candidate(source, file) for file in loose]
    return Examined(findings, candidates, faults + matched.faults, notes)


@dataclass(frozen=True)
class _Matched:
    """Rows with their audio. `claimed` are the files that any row names, `renamed` counts other extensions."""

    candidates: list[Candidate]
    faults: list[Fault]
    claimed: set[str]
    renamed: int


def _match(source: Source, table: Table, index: AudioIndex) -> _Matched:
    candidates: list[Candidate] = []
    faults: list[Fault] = []
    claimed: set[str] = set()
    renamed = 0
    for row in table.rows:
        try:
            match = index.find(row.file)
        except MatchError as error:
            claimed.update(error.found)
            faults.append(Fault(source.namespace, row.line, row.file, error.code, str(error)))
            continue
        claimed.add(match.path)
        renamed += match.renamed
        candidates.append(_candidate(source, match.path, row))
    for bad in table.faults:
        faults.append(Fault(source.namespace, bad.line, bad.file, bad.code, bad.message))
        claimed.update(_meant(index, bad.file))
    return _Matched(candidates, faults, claimed, renamed)


def _meant(index: AudioIndex, name: str) -> tuple[str, ...]:
    """Files that a quarantined row names: what is doubtful about them must not slip into pretraining unlabelled."""
    try:
        return (index.find(name).path,) if name else ()
    except MatchError as error:
        return error.found


def _candidate(source: Source, file: str, row: Row | None = None) -> Candidate:
    bare = Candidate(source.namespace, str(source.folder / file), file)
    if row is None:
        return bare
    said = asdict(row)
    return replace(bare, row=said.pop("line"), **{name: value for name, value in said.items() if name != "file"})
