"""The report of a judgement: one HTML page with figures, pictures, and the worst utterances to be heard."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pipeline.recognition.breakdown import shown_length, shown_rate
from pipeline.recognition.scoring import Scored

REPORT = "report.html"
_EMBEDDED = 4 << 20  # bytes of sound inside the page, which is then whole wherever it is sent; the rest is linked
_SPEAKERS = 200  # rows; metrics.json holds all

_STYLE = """body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
article { border-top: 1px solid #ccc; padding: .6rem 0 } audio { width: 100%; height: 2rem } img { max-width: 100% }
del { color: #b3261e } ins { color: #1d5fa8; text-decoration: none; font-weight: bold } small { color: #666 }"""


def markup(metrics: Mapping[str, Any], worst: Sequence[Scored], folder: Path, pictures: Iterable[Path]) -> str:
    """The page. `worst` are the alignments of `metrics["worst"]`, whose sound lies in `folder`."""
    parts = [
        f"<h1>Word error rate {metrics['wer']:.3f}</h1>",
        _figures(metrics),
        *(f'<p><img alt="{escape(path.stem)}" src="{_data("image/png", path)}"></p>' for path in pictures),
        "<h2>By length</h2>",
        _table(
            ("length", "clips", "words", "WER"),
            [(shown_length(row), row["clips"], row["words"], shown_rate(row)) for row in metrics["by_length"]],
        ),
        "<h2>By speaker</h2>",
        _speakers(metrics["by_speaker"]),
        "<h2>Most frequent errors</h2>",
        _table(
            ("said", "heard", "times"),
            [
                (row["reference"] or "(nothing)", row["hypothesis"] or "(nothing)", row["count"])
                for row in metrics["confusions"]
            ],
        ),
        "<h2>Worst utterances</h2>",
        "<p>Words left out or heard as others are <del>struck out</del>, what was heard instead is "
        "<ins>bold</ins>; both as they are compared.</p>",
        *_utterances(metrics["worst"], worst, folder),
    ]
    head = f'<meta charset="utf-8"><title>Word error rate {metrics["wer"]:.3f}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _figures(metrics: Mapping[str, Any]) -> str:
    errors = metrics["errors"]
    champion = metrics["champion"]
    beside = (
        f"{champion['candidate_wer']:.3f} against {champion['wer']:.3f} of {champion['bundle']}, "
        f"on {champion['clips']} clips"
        if champion.get("wer") is not None
        else champion.get("left_out") or "none in service"
    )
    return _table(
        ("", ""),
        [
            ("word error rate (WER)", shown_rate(metrics)),
            ("character error rate (CER)", f"{metrics['cer']:.3f}"),
            ("without normalisation of texts", f"WER {metrics['raw_wer']:.3f}, CER {metrics['raw_cer']:.3f}"),
            ("test", f"{metrics['clips']} clips, {metrics['words']} words, {metrics['seconds']:.0f} s"),
            ("speakers", metrics["speakers"] if metrics["speakers_known"] else "unknown"),
            ("words heard as others", errors["substitutions"]),
            ("words left out", errors["deletions"]),
            ("words added", errors["insertions"]),
            ("beside the model in service", beside),
        ],
    )


def _speakers(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>The table names no speakers.</p>"
    shown = [(row["speaker"], row["clips"], row["words"], f"{row['wer']:.3f}") for row in rows[:_SPEAKERS]]
    return _table(("speaker", "clips", "words", "WER"), shown)


def _utterances(rows: Sequence[Mapping[str, Any]], aligned: Sequence[Scored], folder: Path) -> list[str]:
    shown, left = [], _EMBEDDED
    for row, scored in zip(rows, aligned, strict=True):
        file = folder / row["file"]
        size = file.stat().st_size
        source = _data("audio/flac", file) if size <= left else escape(row["file"])
        left -= size if size <= left else 0
        told = (
            f"clip {row['clip']}, {row['seconds']:.1f} s, speaker {row['speaker'] or 'unknown'}; "
            f"{row['errors']} errors in {row['words']} words, confidence {row['confidence']:.2f}"
        )
        shown.append(
            f'<article><p>{_aligned(scored)}</p><audio controls preload="metadata" src="{source}"></audio>'
            f"<small>{escape(told)}<br>said: {escape(row['reference'])}<br>heard: {escape(row['text'])}</small>"
            "</article>"
        )
    return shown or ["<p>Every word was heard as it was said.</p>"]


def _aligned(scored: Scored) -> str:
    words = []
    for part in scored.parts:
        said, heard = (escape(" ".join(texts)) for texts in (part.reference, part.hypothesis))
        if part.kind == "equal":
            words.append(said)
        else:
            words += ([f"<del>{said}</del>"] if said else []) + ([f"<ins>{heard}</ins>"] if heard else [])
    return " ".join(words)


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header) if any(header) else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>" if head else f"<table>{body}</table>"


def _data(kind: str, path: Path) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
