"""A recording's waveform with marked places, and its text with coloured letters; each plays on a click. The browser
alone decodes the sound."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from hashlib import sha256

import streamlit as st

from web.theme import COLOURS

AROUND = 0.35  # seconds played before and after a place, so that the word is understood

_SCRIPT = """
export default function ({ data, parentElement }) {
  const box = parentElement.querySelector("section");
  if (box.dataset.mark === data.mark) return; // drawn again by a click elsewhere: let it play on
  box.dataset.mark = data.mark;
  box.replaceChildren();
  const bytes = Uint8Array.from(atob(data.audio), (letter) => letter.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: data.mime }));
  const audio = Object.assign(document.createElement("audio"), { src: address, controls: true, preload: "auto" });
  audio.setAttribute("aria-label", data.label);
  let timer = 0;
  const play = (start, end) => {
    clearInterval(timer);
    audio.currentTime = start;
    audio.play();
    timer = setInterval(() => {
      if (audio.currentTime >= end || audio.paused) {
        audio.pause();
        clearInterval(timer);
      }
    }, 20);
  };
  const draw = (name, attributes, parent) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  };
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const show = (peaks, duration) => {
    const width = peaks.length;
    picture.setAttribute("viewBox", `0 0 ${width} 100`);
    picture.setAttribute("preserveAspectRatio", "none");
    box.prepend(picture);
    const scale = 48 / Math.max(0.05, ...peaks.flat().map(Math.abs));
    for (const mark of data.marks) {
      const x = (mark.start / duration) * width;
      const wide = Math.max(2, ((mark.end - mark.start) / duration) * width);
      const shape = draw("rect", { x, y: 0, width: wide, height: 100, fill: data.marked, class: "mark" }, picture);
      shape.addEventListener("click", () => play(mark.from, mark.to));
    }
    peaks.forEach(([low, high], at) =>
      draw("rect", { x: at, y: 50 - high * scale, width: 0.7, height: Math.max(0.8, (high - low) * scale),
        fill: data.wave, class: "wave" }, picture));
  };
  if (data.peaks.length) show(data.peaks, data.duration);
  else if (data.columns)
    // Narrow sound is enough for a picture. What the browser cannot decode is played or not, without one.
    new OfflineAudioContext(1, 1, 8000).decodeAudioData(bytes.buffer.slice(0)).then((sound) => {
      const samples = sound.getChannelData(data.channel < sound.numberOfChannels ? data.channel : 0);
      const step = Math.max(1, Math.ceil(samples.length / data.columns));
      const peaks = [];
      for (let from = 0; from < samples.length; from += step) {
        let low = 0, high = 0;
        for (let at = from; at < Math.min(samples.length, from + step); at += 1) {
          low = Math.min(low, samples[at]);
          high = Math.max(high, samples[at]);
        }
        peaks.push([low, high]);
      }
      if (peaks.length && box.dataset.mark === data.mark) show(peaks, sound.duration);
    }, () => {});
  box.append(audio);
  if (data.pieces.length) {
    const line = Object.assign(document.createElement("p"), { className: "read" });
    for (const piece of data.pieces) {
      const node = document.createElement(piece.tone ? "button" : "span");
      node.textContent = piece.text;
      if (piece.tone) {
        Object.assign(node, { type: "button", title: piece.label, className: "letter" });
        node.setAttribute("aria-label", piece.label);
        node.style.color = piece.tone;
        node.addEventListener("click", () => play(piece.from, piece.to));
      }
      line.append(node);
    }
    box.append(line);
  }
  const list = document.createElement("p");
  for (const mark of data.marks) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: `▶ ${mark.label}` });
    button.addEventListener("click", () => play(mark.from, mark.to));
    list.append(button);
  }
  if (data.marks.length) box.append(list);
  return () => {
    clearInterval(timer);
    audio.pause();
    URL.revokeObjectURL(address);
  };
}
"""
_STYLE = """
svg { display: block; width: 100%; height: 7rem; }
.mark { opacity: .35; cursor: pointer; }
.wave { pointer-events: none; }
audio { display: block; width: 100%; height: 2.5rem; margin-top: .5rem; }
p { display: flex; flex-wrap: wrap; gap: .4rem; margin: .6rem 0 0; }
p.read { display: block; font-size: 1.35rem; line-height: 1.9; }
button.letter, button.letter:hover { font-size: inherit; font-weight: 700; padding: 0 .1em; border: 0; background: none;
  border-bottom: .18rem solid currentColor; border-radius: 0; }
button { font: inherit; font-size: .875rem; color: var(--st-text-color); cursor: pointer; padding: .4rem .8rem;
  background: var(--st-background-color); border: 1px solid var(--st-border-color); border-radius: 8px; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
"""


@dataclass(frozen=True)
class Mark:
    """A place in seconds, and what its button says."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Piece:
    """A piece of the text that was read. With a `tone`, a key of `web.theme.COLOURS`, it is a letter that plays from
    `start` to `end` in seconds, and `label` says how it was said."""

    text: str
    tone: str = ""
    start: float = 0.0
    end: float = 0.0
    label: str = ""


def waveform(
    audio: bytes,
    mime: str,
    label: str,
    key: str,
    duration: float = 0.0,
    peaks: list[tuple[float, float]] | None = None,
    marks: list[Mark] | None = None,
    pieces: list[Piece] | None = None,
    columns: int = 0,
    channel: int = 0,
) -> None:
    """Draw a recording. `peaks`: least and greatest sample of each stretch, full scale 1; none: the player alone, or
    with `columns` that many are found by the browser, in `channel`."""
    shown = [asdict(mark) | {"from": max(0.0, mark.start - AROUND), "to": mark.end + AROUND} for mark in marks or []]
    data = {"audio": base64.b64encode(audio).decode(), "mime": mime, "label": label, "duration": duration}
    data |= {"peaks": peaks or [], "marks": shown, "wave": COLOURS["accent"], "marked": COLOURS["bad"]}
    data |= {"columns": columns, "channel": channel, "pieces": [_played(piece) for piece in pieces or []]}
    data["mark"] = sha256(repr((audio, marks, pieces)).encode()).hexdigest()
    st.components.v2.component("vnyatno.waveform", html="<section></section>", css=_STYLE, js=_SCRIPT)(
        data=data, key=key
    )


def _played(piece: Piece) -> dict[str, object]:
    around = {"from": max(0.0, piece.start - AROUND), "to": piece.end + AROUND}
    return asdict(piece) | around | {"tone": COLOURS[piece.tone] if piece.tone else ""}
