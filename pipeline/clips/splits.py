"""Speaker-disjoint splits that outlast the run: known speakers never move, new ones fill the quotas.

Clips whose speaker is unknown are split by their content, so that equal sound is always on the same side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.clips.balance import Aim, Group, assign
from pipeline.clips.errors import ClipsError
from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import Registry, content_key, speaker_key
from pipeline.clips.settings import SPLITS, CorpusSettings
from pipeline.clips.units import Unit, allowed_splits, build_units, refuse_contradictions

_MOST_STRATA = 20  # a column with more values is no label


class ClassTooSmallError(ClipsError):
    """A class has too few clips or speakers to be in every split; the message names it and the counts."""


@dataclass(frozen=True)
class SplitPlan:
    """Who goes where. Nothing is remembered until `news` is committed to the registry."""

    splits: Mapping[str, str]
    """Clip id to split."""
    news: Registry
    """Every speaker and recording of this run with its split."""
    speakers_known: bool
    """Whether every clip names its speaker; else test speakers may be heard in training."""
    notes: tuple[str, ...]


def plan_splits(
    records: Sequence[ClipRecord],
    classes: Sequence[str],
    settings: CorpusSettings,
    registry: Registry,
    *,
    labels_required: bool = True,
) -> SplitPlan:
    """Assign every clip to a split; `records` hold no two clips of equal content.

    Where clips have strata, each split gets its share of each as far as that can be; nothing is required of them.
    Speakers without any labelled clip go to training, as do unlabelled clips of unknown speakers; where no clip at
    all is labelled, a validation share of them is held out. Raises `SplitColumnError` (see `pipeline.clips.units`)
    and, if `labels_required`, `ClassTooSmallError`.
    """
    lonely = settings.content_without_speakers and _too_few_speakers(records, settings, registry)
    records = [replace(record, speaker=None) for record in records] if lonely else records
    balanced, records = _with_strata(records, classes)
    units, notes = build_units(records, registry, settings.use_split_column)
    allowed = allowed_splits(units, settings.shares)
    refuse_contradictions(units, allowed)
    chosen = {unit.key: unit.known for unit in units if unit.known is not None}
    chosen |= _place_labelled(units, chosen, allowed, balanced, settings)
    chosen |= _place_unlabelled(units, chosen, allowed, settings)
    short = _shortages(units, chosen, classes, settings)
    if short and labels_required:
        raise ClassTooSmallError(" ".join(short))
    notes += [*short, *_column_notes(units, allowed), *([lonely] if lonely else _speaker_notes(units))]
    splits = {clip.id: chosen[unit.key] for unit in units for clip in unit.clips}
    speakers_known = all(unit.speaker is not None for unit in units)
    return SplitPlan(splits, _news(units, chosen), speakers_known, tuple(notes))


def _with_strata(records: Sequence[ClipRecord], classes: Sequence[str]) -> tuple[Sequence[str], Sequence[ClipRecord]]:
    """Classes and clips with their strata as further classes.

    A recogniser's splits bind the defects' later ones: so each split gets speakers with each label that the table has.
    """
    strata = sorted({clip.stratum for clip in records if clip.stratum is not None})
    if not strata or len(strata) > _MOST_STRATA:
        return classes, records
    marked = [
        clip if clip.stratum is None else replace(clip, also=(*clip.also, f"stratum {clip.stratum}"))
        for clip in records
    ]
    return [*classes, *(f"stratum {stratum}" for stratum in strata)], marked


def _too_few_speakers(records: Sequence[ClipRecord], settings: CorpusSettings, registry: Registry) -> str:
    """What to note where there are too few speakers for the splits, and no earlier run bound one; else nothing."""
    named = {(clip.archive, speaker_key(clip.speaker)) for clip in records if clip.speaker is not None}
    needed = sum(share > 0 for share in settings.shares.values())
    bound = any(registry.of_speaker(*speaker) is not None for speaker in named)
    if not named or len(named) >= needed or bound or any(clip.speaker is None for clip in records):
        return ""
    who = "one speaker" if len(named) == 1 else f"{len(named)} speakers"
    return f"but {who} for {needed} splits: clips are split by content, so the test is of voices heard in training"


def by_content(units: Sequence[Unit], needed: Mapping[str, float], least: Mapping[str, int]) -> dict[str, str]:
    """Split clips of unknown speakers: sorted by content hash, the first to test, the next to validation.

    `needed` says how many clips each split still wants (above 0 in all), `least` how many it must get if there are
    enough. The same clips give the same splits, whatever the archive's order.
    """
    total = sum(needed.values())
    exact = {split: len(units) * want / total for split, want in needed.items()}
    counts = {split: int(value) for split, value in exact.items()}
    by_rest = sorted(counts, key=lambda split: counts[split] - exact[split])
    for split in by_rest[: len(units) - sum(counts.values())]:
        counts[split] += 1
    for split in counts:
        while counts[split] < least.get(split, 0):
            giver = max(counts, key=lambda other: counts[other] - least.get(other, 0))
            if counts[giver] <= least.get(giver, 0):
                break
            counts[giver] -= 1
            counts[split] += 1
    order = [split for split in reversed(SPLITS) for _ in range(counts.get(split, 0))]
    ranked = sorted(units, key=lambda unit: unit.clips[0].content)
    return {unit.key: split for unit, split in zip(ranked, order, strict=True)}


def _tables(units: Sequence[Unit], chosen: Mapping[str, str], classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Clips and units that are assigned, each of shape (splits, classes)."""
    clips = np.zeros((len(SPLITS), len(classes)), dtype=np.int64)
    groups = np.zeros_like(clips)
    for unit in units:
        if (split := chosen.get(unit.key)) is not None:
            counts = unit.counts(classes)
            clips[SPLITS.index(split)] += counts
            groups[SPLITS.index(split)] += counts > 0
    return clips, groups


def _place_labelled(
    units: Sequence[Unit],
    chosen: Mapping[str, str],
    allowed: Mapping[str | None, tuple[str, ...]],
    classes: Sequence[str],
    settings: CorpusSettings,
) -> dict[str, str]:
    """Splits of new units that hold labelled clips: speakers first, single clips fill up what they leave."""
    new = [unit for unit in units if unit.key not in chosen and unit.labelled]
    speakers = [unit for unit in new if unit.speaker is not None]
    shares = tuple(settings.shares[split] for split in SPLITS)
    aim = Aim(shares, settings.fewest_clips, settings.fewest_speakers)
    groups = [
        Group(unit.key, tuple(unit.counts(classes)), tuple(SPLITS.index(split) for split in allowed[unit.wanted]))
        for unit in speakers
    ]
    found = assign(groups, aim, *_tables(units, chosen, classes), settings.seed)
    placed = {key: SPLITS[split] for key, split in found.items()}
    singles = [unit for unit in new if unit.speaker is None]
    frequency = sum((unit.counts(classes) for unit in singles), np.zeros(len(classes), dtype=np.int64))
    # A clip of several classes goes by its rarest, for which it is needed most (iterative stratification).
    for column in np.argsort(frequency, kind="stable"):
        name = classes[column]
        single = [unit for unit in singles if unit.key not in placed and name in unit.clips[0].labels]
        for choice in dict.fromkeys(allowed[unit.wanted] for unit in single):
            some = [unit for unit in single if allowed[unit.wanted] == choice]
            have = _tables(units, {**chosen, **placed}, [name])[0][:, 0]
            total = have.sum() + sum(unit.key not in placed for unit in single)
            wants = {split: max(0.0, settings.shares[split] * total - have[SPLITS.index(split)]) for split in choice}
            if not any(wants.values()):
                wants = dict.fromkeys(choice, 1.0)
            least = {
                split: max(0, settings.fewest_clips - int(have[SPLITS.index(split)]))
                for split in choice
                if settings.shares[split] > 0
            }
            placed |= by_content(some, wants, least)
    return placed


def _place_unlabelled(
    units: Sequence[Unit],
    chosen: Mapping[str, str],
    allowed: Mapping[str | None, tuple[str, ...]],
    settings: CorpusSettings,
) -> dict[str, str]:
    """Splits of new units without a label."""
    new = [unit for unit in units if unit.key not in chosen]
    placed = {unit.key: unit.wanted for unit in new if unit.wanted is not None and unit.wanted != "train"}
    rest = [unit for unit in new if unit.key not in placed]
    if any(unit.labelled for unit in units) or settings.validation_share == 0:
        return placed | {unit.key: "train" for unit in rest}
    free = [unit for unit in rest if "validation" in allowed[unit.wanted]]
    placed |= {unit.key: "train" for unit in rest if "validation" not in allowed[unit.wanted]}
    held = settings.validation_share
    single = [unit for unit in free if unit.speaker is None]
    placed |= by_content(single, {"train": 1 - held, "validation": held}, {})
    speakers = [Group(unit.key, (len(unit.clips),), (0, 1)) for unit in free if unit.speaker is not None]
    nothing = np.zeros((len(SPLITS), 1), dtype=np.int64)
    found = assign(speakers, Aim((1 - held, held, 0.0), 1, 1), nothing, nothing, settings.seed)
    return placed | {key: SPLITS[split] for key, split in found.items()}


def _shortages(
    units: Sequence[Unit], chosen: Mapping[str, str], classes: Sequence[str], settings: CorpusSettings
) -> list[str]:
    """A sentence for each class that is short of clips or speakers in a split."""
    clips, groups = _tables(units, chosen, classes)
    if not clips.any():
        return []
    used = [index for index, split in enumerate(SPLITS) if settings.shares[split] > 0]
    sentences = []
    for column, name in enumerate(classes):
        few = [clips[index, column] < settings.fewest_clips for index in used]
        lonely = [groups[index, column] < settings.fewest_speakers for index in used]
        if not any(few) and not any(lonely):
            continue
        where = ", ".join(f"{SPLITS[index]} {clips[index, column]} of {groups[index, column]}" for index in used)
        of_class = [unit for unit in units if any(name in clip.labels for clip in unit.clips)]
        voices = "speakers" if all(unit.speaker for unit in of_class) else "speakers or clips without one"
        bound = sum(unit.known is not None for unit in of_class)
        sentences.append(
            f"class {name} cannot be split: {clips[:, column].sum()} clips of {groups[:, column].sum()} {voices} "
            f"({where}); every split needs {settings.fewest_clips} clips of {settings.fewest_speakers} "
            f"{voices}.{f' {bound} of them keep their split from earlier runs.' if bound else ''} Add "
            "recordings of more speakers, or leave the class out of classes."
        )
    return sentences


def _column_notes(units: Sequence[Unit], allowed: Mapping[str | None, tuple[str, ...]]) -> list[str]:
    wanted = sum(unit.wanted is not None for unit in units)
    if not wanted:
        return []
    notes = [f"the table's split column decides for {wanted} of {len(units)} speakers or recordings"]
    if len(allowed["train"]) > 1:
        taken = " and ".join(allowed["train"][1:])
        notes.append(f"the split column names no {taken}: taken from its training side")
    return notes


def _speaker_notes(units: Sequence[Unit]) -> list[str]:
    unknown = [unit for unit in units if unit.speaker is None]
    if not unknown:
        return []
    labelled = sum(unit.labelled for unit in unknown)
    note = f"speakers unknown: {len(unknown)} clips name none"
    if labelled:
        note += f"; {labelled} labelled ones are split by content, so one voice may be in training and test"
    if labelled < len(unknown):
        note += f"; {len(unknown) - labelled} unlabelled ones serve pretraining and may be of test speakers"
    return [note]


def _news(units: Sequence[Unit], chosen: Mapping[str, str]) -> Registry:
    speakers: dict[str, dict[str, str]] = {}
    contents: dict[str, str] = {}
    for unit in units:
        split = chosen[unit.key]
        if unit.speaker is not None:
            speakers.setdefault(unit.namespace, {})[unit.speaker] = split
        for clip in unit.clips:
            contents |= {content_key(clip.content): split, content_key(clip.sha256): split}
    return Registry(speakers, contents)
