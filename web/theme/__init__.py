"""One visual language: Streamlit's theme and switches as code, and a small style sheet for what it leaves."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

import streamlit as st
from PIL import Image, ImageDraw

from web.settings import WebSettings

FOLDER = Path(__file__).resolve().parent
COLOURS = {
    "accent": "#0b6e5f",
    "ink": "#1d2b2a",
    "muted": "#5a6b69",
    "paper": "#ffffff",
    "ground": "#f3f7f6",
    "line": "#d5e0dd",
    "bad": "#b3261e",
    "good": "#1b7f4d",
    "doubt": "#9a6700",
}
"""For pages' charts as well."""
FONT = "'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif"


def streamlit_options(settings: WebSettings) -> dict[str, object]:
    """Streamlit's configuration, by option name; nothing is read from files."""
    largest = max(settings.max_upload_bytes, settings.max_archive_bytes)
    return {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": False,
        # A full collection after every run took nine tenths of the time under fifty people; Python collects by itself.
        "runner.postScriptGC": False,
        "server.address": settings.host,
        "server.port": settings.port,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxUploadSize": -(-largest // 1_000_000),
        "server.showEmailPrompt": False,
        "theme.base": "light",
        "theme.primaryColor": COLOURS["accent"],
        "theme.backgroundColor": COLOURS["paper"],
        "theme.secondaryBackgroundColor": COLOURS["ground"],
        "theme.textColor": COLOURS["ink"],
        "theme.borderColor": COLOURS["line"],
        "theme.linkColor": COLOURS["accent"],
        "theme.font": FONT,
        "theme.baseRadius": "8px",
        "theme.showWidgetBorder": True,
        "theme.headingFontSizes": ["2rem", "1.5rem", "1.2rem"],
    }


def dress() -> None:
    """Put the style sheet into a Streamlit page."""
    st.html(f"<style>{_sheet('pages.css')}</style>")


def brand(name: str) -> None:
    """Put the name above a Streamlit page, as the other pages have it."""
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="92" height="24"><text y="18" font-size="19" font-weight="700" '
        f'font-family="{FONT}" fill="{COLOURS["accent"]}">{escape(name)}</text></svg>'
    )
    st.logo(picture, link=None)


@cache
def icon() -> Image.Image:
    """The site's icon, drawn here: Streamlit would fetch its own ones from another host."""
    picture = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(picture)
    for at, height in enumerate((16, 36, 56, 28, 12)):
        left = 4 + 12 * at
        draw.rounded_rectangle((left, 32 - height // 2, left + 7, 32 + height // 2), 3, fill=COLOURS["accent"])
    return picture


def form_styles() -> str:
    """The style sheet of the pages that Streamlit does not draw."""
    return _sheet("forms.css")


@cache
def _sheet(name: str) -> str:
    sheet = (FOLDER / name).read_text(encoding="utf-8").replace("$font", FONT)
    for colour, value in COLOURS.items():
        sheet = sheet.replace(f"${colour}", value)
    return sheet
