"""Attempts: a recording is kept first, judged then, and may be judged again when the service could not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from web.database import Attempt
from web.files import FileError, Source
from web.service import OddAnswer
from web.service.prediction import Prediction, read_prediction
from web.twisters import load_collection
from web.visit import Member

PEAKS = 400  # columns of the waveform that the service is asked for
SUFFIXES = ("wav", "mp3", "ogg", "oga", "flac", "m4a", "webm", "mp4", "opus")
_MIMES = {"mp3": "mpeg", "m4a": "mp4", "oga": "ogg", "opus": "ogg"}


@dataclass(frozen=True)
class Prompt:
    """What was to be read."""

    text: str
    language: str
    sounds: list[str]
    difficulty: int


def keep(seen: Member, prompt: Prompt, audio: bytes | Source, suffix: str) -> int:
    """Keep a recording that nobody has judged yet; its attempt's id. Raises `FileError`; then nothing is kept."""
    name = seen.files.add(audio, suffix if suffix in SUFFIXES else "bin")
    row = Attempt(user_id=seen.user.id, audio=name, prompt=prompt.text, language=prompt.language, bundle="", answer={})
    row.sounds, row.difficulty = prompt.sounds, prompt.difficulty
    try:
        with seen.writing() as session:
            session.add(row)
    except BaseException:
        seen.files.remove(name)
        raise
    return row.id


def judge(seen: Member, attempt_id: int) -> Prediction:
    """Ask the service about a kept recording and keep its answer. Raises `ServiceError`, `FileError`; then nothing
    changes, and it may be judged later."""
    row = find(seen, attempt_id)
    if row is None or row.audio is None:
        raise FileError("file_not_found")
    answer = seen.service.predict(
        seen.files.read(row.audio), f"recording.{suffix_of(row.audio)}", row.prompt, peaks=PEAKS
    )
    prediction = read_prediction(answer)
    with seen.writing() as session:
        kept = session.get(Attempt, attempt_id)
        if kept is None:
            raise FileError("file_not_found")
        kept.answer, kept.bundle = answer, prediction.bundle
    return prediction


def find(seen: Member, attempt_id: int) -> Attempt | None:
    """One of the user's own attempts."""
    with seen.reading() as session:
        query = select(Attempt).where(Attempt.id == attempt_id, Attempt.user_id == seen.user.id)
        return session.scalars(query).one_or_none()


def all_of(seen: Member, most: int = 5_000) -> list[Attempt]:
    """The user's attempts, the latest first."""
    with seen.reading() as session:
        query = select(Attempt).where(Attempt.user_id == seen.user.id)
        return list(session.scalars(query.order_by(Attempt.created.desc(), Attempt.id.desc()).limit(most)))


def delete(seen: Member, attempt_ids: list[int]) -> None:
    """Delete some of the user's attempts with their recordings."""
    with seen.writing() as session:
        query = select(Attempt).where(Attempt.id.in_(attempt_ids), Attempt.user_id == seen.user.id)
        rows = list(session.scalars(query))
        for row in rows:
            session.delete(row)
    for row in rows:
        if row.audio:
            seen.files.remove(row.audio)


def prediction_of(attempt: Attempt) -> Prediction | None:
    """What the service answered; None where it has not, or not so that it can be read today."""
    answer: dict[str, Any] = attempt.answer
    try:
        return read_prediction(answer) if answer else None
    except OddAnswer:
        return None


def recent_texts(seen: Member, language: str, most: int = 40) -> list[str]:
    """Ids, as `web.twisters` gives them, of the texts that were read last."""
    collection = load_collection(language)
    return [collection.identity(row.prompt) for row in all_of(seen, most) if row.language == language]


def suffix_of(name: str) -> str:
    """A file's kind, `wav`."""
    return name.rpartition(".")[2]


def mime_of(name: str) -> str:
    """What a browser calls a file's kind, `audio/wav`."""
    return f"audio/{_MIMES.get(suffix_of(name), suffix_of(name))}"
