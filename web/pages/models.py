"""The page of the service's API and its models, for strangers as well; what changes something is for administrators."""

from __future__ import annotations

import streamlit as st

from web import attempts, snippets
from web.files import FileError
from web.pages import model_list
from web.pages.verdict import file_kind
from web.service import ServiceError
from web.service.addresses import dagster_address, service_address
from web.theme.markdown import plain
from web.visit import Visit, visit

_PEAKS = 0  # the answer is read by people


def page() -> None:
    """Draw the page."""
    seen = visit()
    st.title(seen.text("nav_models"), anchor=False)
    names = ("api", "model", "list") if seen.user is None else ("api", "try", "model", "list")
    parts = dict(zip(names, st.tabs([seen.text(f"models_tab_{name}") for name in names]), strict=True))
    with parts["api"]:
        _api(seen)
    if "try" in parts:
        with parts["try"]:
            _try(seen)
    with parts["model"]:
        model_list.in_service(seen)
    with parts["list"]:
        model_list.everything(seen)


def _api(seen: Visit) -> None:
    settings = seen.house.settings
    here = st.context.url or ""
    address = service_address(settings.public_service, settings.service, settings.origin or here)
    st.write(seen.text("models_api"))
    st.code(snippets.curl(address), language="bash", wrap_lines=True)
    st.markdown(seen.text("models_python"))
    st.code(snippets.python(address), language="python", wrap_lines=True)
    st.write(seen.text("models_transcription"))
    st.code(snippets.curl_transcription(address), language="bash", wrap_lines=True)
    st.markdown(seen.text("models_openai"))
    st.code(snippets.openai_transcription(address), language="python", wrap_lines=True)
    st.caption(seen.text("models_key"))
    with st.container(horizontal=True):
        st.link_button(seen.text("models_swagger"), f"{address}/api/docs/", icon=":material/description:")
        if seen.user is not None:
            secure = settings.dagster_proxy == "on"
            dagster = dagster_address(settings.dagster, settings.dagster_port, secure, settings.origin or here)
            st.link_button(seen.text("models_dagster"), dagster, icon=":material/account_tree:")


def _try(seen: Visit) -> None:
    """A file or a recording, and the service's answer as it comes."""
    st.write(seen.text("models_try"))
    limit = -(-seen.house.settings.max_upload_bytes // 1_000_000)
    sent = st.file_uploader(seen.text("models_file"), list(attempts.SUFFIXES), key="try_file", max_upload_size=limit)
    spoken = st.audio_input(seen.text("models_record"), key="try_recording")
    said = st.text_input(seen.text("models_text"), key="try_text", max_chars=2_000)
    recording = sent or spoken
    if not st.button(seen.text("models_ask"), type="primary", disabled=recording is None, key="try_ask"):
        return
    if recording is None:
        return
    name = f"recording.{file_kind(sent.name) if sent else 'wav'}"
    try:
        with st.spinner(seen.text("training_listening")):
            answer = seen.service.predict(seen.sent_bytes(recording), name, said or None, peaks=_PEAKS)
    except (FileError, ServiceError) as error:
        st.error(plain(error.message(seen.language)))
        return
    st.json(answer, expanded=2)
