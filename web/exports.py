"""What people take along of their attempts: a table as CSV, a report as PDF."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from fpdf import FPDF

from web.database import Attempt
from web.language import moment, percent, text
from web.service.prediction import Prediction

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last are theirs of full width
_FONT = "DejaVu"  # comes with matplotlib, and has Cyrillic


@dataclass(frozen=True)
class Row:
    """An attempt with its answer, where it has one."""

    attempt: Attempt
    prediction: Prediction | None


@dataclass(frozen=True)
class Reader:
    """For whom it is written: `name_of` gives a defect's name in `language`."""

    name: str
    language: str
    zone: str | None
    name_of: Callable[[str], str]


def cell(value: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value


def csv_of(rows: Sequence[Row], reader: Reader) -> bytes:
    """A line per attempt: when (UTC), the text, each defect's probability, 0 to 1, and verdict, and how probably each
    letter was said well, 0 to 1."""
    defects, letters = defects_of(rows), letters_of(rows)
    heads = [text(f"export_{name}", reader.language) for name in ("when", "prompt", "difficulty", "bundle")]
    for defect in defects:
        name = reader.name_of(defect)
        heads += [name, text("export_verdict", reader.language, name=name)]
    heads += [text("export_sound", reader.language, letter=letter) for letter in letters]
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(map(cell, heads))
    for row in rows:
        tried = row.attempt
        line = [
            tried.created.isoformat(timespec="seconds"),
            cell(tried.prompt),
            str(tried.difficulty),
            cell(tried.bundle),
        ]
        for defect in defects:
            line += _figures(row.prediction, defect, reader.language)
        scores = row.prediction.scores if row.prediction else {}
        line += [f"{scores[letter]:.4f}" if letter in scores else "" for letter in letters]
        writer.writerow(line)
    return b"\xef\xbb\xbf" + made.getvalue().encode()  # the mark by which spreadsheets know UTF-8


def pdf_of(rows: Sequence[Row], reader: Reader) -> bytes:
    """A report: who, what each attempt was and what was heard in it."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    page = FPDF()
    page.set_title(text("export_title", reader.language))
    page.add_font(_FONT, "", fonts / "DejaVuSans.ttf")
    page.add_font(_FONT, "B", fonts / "DejaVuSans-Bold.ttf")
    page.add_page()
    page.set_font(_FONT, "B", 16)
    page.multi_cell(0, 9, text("export_title", reader.language), new_x="LMARGIN", new_y="NEXT")
    page.set_font(_FONT, "", 10)
    for line in (reader.name, text("training_no_diagnosis", reader.language)):
        page.multi_cell(0, 6, line, new_x="LMARGIN", new_y="NEXT")
    page.ln(4)
    page.set_font(_FONT, "", 8)
    heads = [text(f"export_{name}", reader.language) for name in ("when", "prompt", "heard")]
    with page.table(col_widths=(28, 72, 90), text_align="LEFT") as table:
        for cells in (heads, *(_told(row, reader) for row in rows)):
            line_of = table.row()
            for one in cells:
                line_of.cell(one)
    return bytes(page.output())


def defects_of(rows: Sequence[Row]) -> list[str]:
    """All defects that any of the answers tells of, in the order they first come."""
    return list(dict.fromkeys(name for row in rows if row.prediction for name in row.prediction.defects))


def letters_of(rows: Sequence[Row]) -> list[str]:
    """All letters that were scored in any of the answers, in order."""
    return sorted({letter for row in rows if row.prediction for letter in row.prediction.scores})


def _figures(prediction: Prediction | None, defect: str, language: str) -> list[str]:
    if prediction is None or defect not in prediction.defects:
        return ["", ""]
    verdict = prediction.verdicts.get(defect, "not_assessable")
    told = "" if verdict == "not_assessable" else f"{prediction.defects[defect]:.4f}"
    return [told, text(f"verdict_{verdict}", language)]


def _told(row: Row, reader: Reader) -> list[str]:
    when = moment(row.attempt.created, reader.language, reader.zone)
    if row.prediction is None:
        return [when, row.attempt.prompt, text("progress_not_judged", reader.language)]
    lines = []
    for defect, probability in row.prediction.defects.items():
        verdict = row.prediction.verdicts.get(defect, "not_assessable")
        figure = "" if verdict == "not_assessable" else f" ({percent(probability, reader.language)})"
        lines.append(f"{reader.name_of(defect)}: {text(f'verdict_{verdict}', reader.language)}{figure}")
    for letter, score in row.prediction.scores.items():
        lines.append(f"{text('export_sound', reader.language, letter=letter)}: {percent(score, reader.language)}")
    return [when, row.attempt.prompt, "\n".join(lines)]
