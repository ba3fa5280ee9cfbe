"""Streamlit's own words in the page's language. It has them in English alone, and calls every page English."""

from __future__ import annotations

import streamlit as st

from web.language import text

KEYS = (
    "streamlit_record",
    "streamlit_stop_recording",
    "streamlit_clear_recording",
    "streamlit_download_as_wav",
    "streamlit_play",
    "streamlit_pause",
    "streamlit_upload",
    "streamlit_per_file",
    "streamlit_add_files",
    "streamlit_remove",
    "streamlit_expand_sidebar",
    "streamlit_collapse_sidebar",
    "streamlit_sidebar",
    "streamlit_app_pages",
    "streamlit_home",
    "streamlit_skip",
    "streamlit_close",
    "streamlit_increment",
    "streamlit_decrement",
    "streamlit_fullscreen",
    "streamlit_progress",
)

REFUSALS = {
    "AxiosError: Request failed with status code 413": "streamlit_upload_too_large",
    "AxiosError: Request failed with status code 507": "streamlit_upload_no_room",
    "AxiosError: Network Error": "streamlit_upload_broke_off",
}
"""What an uploader says of a refused upload, which nobody but a programmer understands, to what it should say."""

_SCRIPT = """
const PLACES = "[data-testid^=stFileUploader] *, [data-testid=stTooltipContent] *, a[href='#stMain']";
export default function ({ data }) {
  document.documentElement.lang = data.language;
  const said = new Map(data.words);
  // `Download as WAV: <label>` begins with words of Streamlit's.
  const swap = (part) => said.get(part) ?? part;
  const told = (value) => said.get(value) ?? value.replace(/^[^:]+(?=: )/, swap).replace(/per file/, swap);
  const put = () => {
    for (const node of document.querySelectorAll("[aria-label]")) {
      const before = node.getAttribute("aria-label"), after = told(before);
      if (after !== before) node.setAttribute("aria-label", after);
    }
    for (const node of document.querySelectorAll(PLACES))
      for (const part of node.childNodes) {
        if (part.nodeType !== Node.TEXT_NODE) continue;
        const after = told(part.nodeValue);
        if (after !== part.nodeValue) part.nodeValue = after;
      }
  };
  let due = 0;
  const watch = new MutationObserver(() => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(put);
  });
  put();
  watch.observe(document.body, {
    subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["aria-label"] });
  return () => {
    cancelAnimationFrame(due);
    watch.disconnect();
  };
}
"""
_ENGLISH = "en"


def speak(language: str) -> None:
    """Let what Streamlit itself writes be in a language, and the page be called so."""
    pairs = [] if language == _ENGLISH else [[text(key, _ENGLISH), text(key, language)] for key in KEYS]
    pairs += [[said, text(key, language)] for said, key in REFUSALS.items()]
    component = st.components.v2.component("vnyatno.wording", html="<span></span>", js=_SCRIPT)
    component(data={"language": language, "words": pairs}, key="wording")
