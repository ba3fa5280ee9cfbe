"""What an answer says, in words and pictures; shared by the pages of training and progress."""

from __future__ import annotations

import streamlit as st

from web.attempts import mime_of, suffix_of
from web.database import Attempt
from web.files import FileError
from web.language import number, percent, text
from web.service import ServiceError
from web.service.prediction import Card, Prediction, read_card
from web.theme.markdown import plain
from web.theme.meter import meter
from web.theme.waveform import Mark, Piece, waveform
from web.visit import Member, Visit

TONES = {"yes": "bad", "no": "good", "unsure": "doubt", "not_assessable": "muted"}
ADVICE = ("too_quiet", "clipped", "noisy", "telephone_band", "short", "cut_short", "damaged", "unlike_training")
"""Codes of the service's warnings for which there are words here; another one is told as the service wrote it."""
_POINTS = '.,;:!?…—–-«»"()'  # of a text's words, which are no part of what was said
WELL, BADLY = 0.7, 0.3
"""From, and up to, which probability of being said well a sound is called so."""
SLOW, FAST = 2.5, 6.5  # syllables a second: outside of these hardly anybody reads a prompt


def card_of(seen: Visit) -> Card | None:
    """The bundle in service; None where the service cannot be asked, which is for the page to tell."""
    try:
        return read_card(seen.service.model())
    except ServiceError:
        return None


def gauges(seen: Member, prediction: Prediction, card: Card | None) -> None:
    """A gauge for each defect. One that could not be told shows no figure: it would be read as one."""
    for defect, probability in prediction.defects.items():
        gauge(seen, card, defect, probability, prediction.verdicts.get(defect, "not_assessable"))


def gauge(seen: Visit, card: Card | None, defect: str, probability: float, verdict: str) -> None:
    """The gauge of one defect."""
    told = verdict != "not_assessable"
    figure = percent(probability, seen.language) if told else seen.text("verdict_no_figure")
    word = seen.text(f"verdict_{verdict}")
    meter(name_of(card, defect, seen.language), probability if told else 0.0, figure, word, TONES[verdict])


def sound(seen: Member, attempt: Attempt, prediction: Prediction | None, card: Card | None, key: str) -> None:
    """The recording, with the places marked where there are any."""
    if attempt.audio is None:
        return
    try:
        audio = seen.files.read(attempt.audio)
    except FileError as error:
        st.warning(error.message(seen.language))
        return
    label = seen.text("training_recording")
    if prediction is None:
        waveform(audio, mime_of(attempt.audio), label, key)
        return
    marks, pieces = marks_of(prediction, card, seen.language), pieces_of(prediction, seen.language)
    waveform(audio, mime_of(attempt.audio), label, key, prediction.duration, prediction.peaks, marks, pieces)
    if pieces:
        st.caption(seen.text("training_sounds_hint"))


def marks_of(prediction: Prediction, card: Card | None, language: str) -> list[Mark]:
    """The places, each named by its defect, its words where they are known, and its time in seconds."""
    marks = []
    for place in prediction.places:
        words = prediction.words or []
        heard = " ".join(words[at].text.strip(_POINTS) for at in place.words or [] if 0 <= at < len(words))
        parts = [
            name_of(card, place.defect, language),
            heard,
            text("training_at", language, value=number(place.start, language, 1)),
        ]
        marks.append(Mark(place.start, place.end, " · ".join(part for part in parts if part)))
    return marks


def pieces_of(prediction: Prediction, language: str) -> list[Piece]:
    """The text with each scored letter by itself, coloured by its score; nothing where no sound was scored."""
    pieces: list[Piece] = []
    for number_, word in enumerate(prediction.words or []):
        sounds = [one for one in prediction.sounds or [] if one.word == number_]
        rest = word.text
        for one in sounds:
            before, letter, after = _parted(rest, one.letter)
            if letter:
                pieces += [Piece(before)] if before else []
                said = text(f"sound_{tone_of(one.score)}", language)
                label = f"{letter} · {said} · {percent(one.score, language)}"
                pieces.append(Piece(letter, tone_of(one.score), one.start, one.end, label))
                rest = after
        pieces.append(Piece(f"{rest} "))
    return pieces if any(piece.tone for piece in pieces) else []


def _parted(word: str, letter: str) -> tuple[str, str, str]:
    """What stands before the first such letter of a word, large or small, the letter, and what stands after it."""
    at = word.lower().find(letter)
    return (word, "", "") if at < 0 or len(word.lower()) != len(word) else (word[:at], word[at], word[at + 1 :])


def tone_of(score: float) -> str:
    """The tone of a sound that is said well with a probability of `score`."""
    return "good" if score >= WELL else "bad" if score <= BADLY else "doubt"


def remarks(seen: Member, prediction: Prediction) -> None:
    """Tempo, and how good the recording is, with advice."""
    pace = prediction.tempo.syllables_per_second if prediction.tempo else None
    if pace:
        value = number(pace, seen.language, 1)
        st.markdown(seen.text("training_tempo", value=value, word=seen.text(pace_key(pace))))
    for caution in prediction.warnings:
        known = caution.code in ADVICE
        st.warning(seen.text(f"advice_{caution.code}") if known else plain(caution.message or caution.code))
    if not prediction.warnings:
        st.caption(seen.text("training_quality_good"))


def pace_key(syllables_per_second: float) -> str:
    """The key of a word about a tempo."""
    if syllables_per_second < SLOW:
        return "tempo_slow"
    return "tempo_fast" if syllables_per_second > FAST else "tempo_usual"


def next_key(prediction: Prediction, difficulty: int) -> str:
    """The key of what to exercise next. Nobody is praised where what is likeliest could not be assessed."""
    found = set(prediction.verdicts.values())
    likeliest = max(zip(prediction.predict_proba, prediction.classes, strict=True))[1]
    if "yes" in found:
        return "next_easier" if difficulty > 1 else "next_slower"
    if "unsure" in found:
        return "next_again"
    if found <= {"not_assessable"} or prediction.verdicts.get(likeliest) == "not_assessable":
        return "next_more_sounds"
    return "next_harder" if difficulty < 3 else "next_longer"


def name_of(card: Card | None, defect: str, language: str) -> str:
    """A defect's name for people; its code where the service does not tell."""
    name = card.name_of(defect, language) if card else defect
    return name[:1].upper() + name[1:]


def file_kind(name: str) -> str:
    """What an uploaded file's name says of its kind; the service looks at its content anyway."""
    return suffix_of(name).lower()
