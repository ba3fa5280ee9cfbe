"""Which split every speaker and every recording was ever put in, remembered between runs.

One file, `VNYATNO_HOME/registry/speakers.json`. Speakers are told apart by their archive's namespace; recordings are
known by the hash of their bytes and of their sound.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from pipeline.clips.errors import ClipsError
from pipeline.clips.settings import SPLITS
from speech.files import read_json, write_json

REGISTRY_NAME = "speakers.json"
_FORMAT = 1
_KEY_LENGTH = 20  # hex digits of a hash: 80 bits tell recordings apart at a third of the file's size
_LOCK_SECONDS = 60.0


class RegistryError(ClipsError):
    """The registry cannot be read, or contradicts what is to be written; the message names the file."""


@dataclass(frozen=True)
class Registry:
    """What is remembered: namespace -> speaker -> split, and recording -> split."""

    speakers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)

    def of_speaker(self, namespace: str, speaker: str) -> str | None:
        """The split of a speaker, if known; `speaker` as `speaker_key` writes it."""
        return self.speakers.get(namespace, {}).get(speaker)

    def of_content(self, *hashes: str) -> str | None:
        """The split of a recording, if any of its hashes is known."""
        for digest in hashes:
            if (split := self.contents.get(content_key(digest))) is not None:
                return split
        return None


def speaker_key(speaker: str) -> str:
    """A speaker's name as it is remembered: composed and without case, so that a retyped name stays one person."""
    return unicodedata.normalize("NFC", speaker).strip().casefold()


def content_key(digest: str) -> str:
    """A recording's hash as it is remembered."""
    return digest[:_KEY_LENGTH]


def load_registry(path: Path) -> Registry:
    """The registry in `path`; empty where the file does not exist. Raises `RegistryError` for a damaged one."""
    try:
        value = read_json(path)
        speakers, contents = value["speakers"], value["contents"]
        if value["format"] != _FORMAT:
            raise RegistryError(f"{path}: format {value['format']} is not known here; use the version that wrote it")
        splits = {*contents.values(), *(split for known in speakers.values() for split in known.values())}
    except FileNotFoundError:
        return Registry()
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{path}: is damaged; restore a backup: it keeps test speakers apart") from error
    if not splits <= set(SPLITS):
        raise RegistryError(f"{path}: holds splits other than {', '.join(SPLITS)}: {', '.join(splits - set(SPLITS))}")
    return Registry(speakers, contents)


def commit(path: Path, news: Registry) -> None:
    """Add `news` to the registry in `path`; writing the same again changes nothing.

    Raises `RegistryError` where a speaker meanwhile got another split: two runs split the same speakers at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock"), timeout=_LOCK_SECONDS):
        old = load_registry(path)
        for namespace, speakers in news.speakers.items():
            for speaker, split in speakers.items():
                before = old.of_speaker(namespace, speaker)
                if before not in (None, split):
                    raise RegistryError(
                        f"{path}: speaker {speaker!r} of {namespace} is in {before}, this run put it into {split}; "
                        "another run split the same speakers meanwhile: make the clips anew"
                    )
        merged = {name: {**old.speakers.get(name, {}), **new} for name, new in news.speakers.items()}
        speakers_now, contents_now = {**old.speakers, **merged}, {**old.contents, **news.contents}
        if (speakers_now, contents_now) != (old.speakers, old.contents):
            write_json(path, {"format": _FORMAT, "speakers": speakers_now, "contents": contents_now})
