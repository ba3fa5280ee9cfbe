"""The models in service with their cards and figures, all models, what served when, and going back."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from web.language import moment, number, percent, size
from web.pages.verdict import name_of
from web.service import NoModel, ServiceError
from web.service.client import ASR, DEFECTS
from web.service.models import BundlePage, Drift, FullCard, History, InService, RecogniserCard, read
from web.theme.markdown import plain
from web.theme.meter import meter
from web.visit import Visit

_PAGE = 20
_RECIPES = (DEFECTS, ASR)
_DONE = "models_rolled_back_to"
_STATES = ("in_service", "previous", "published_before", "ready", "refused_by_gate", "broken")
_ACTIONS = ("published", "rolled_back", "found")
_SHIFTED = 0.25  # PSI from which on a distribution is held to have moved (usual in credit scoring)
_SLIGHTLY = 0.1


def in_service(seen: Visit) -> None:
    """The cards of the models in service, a recipe after the other."""
    try:
        _defects(seen)
        _recogniser(seen)
    except ServiceError as error:
        st.warning(plain(error.message(seen.language)))


def everything(seen: Visit) -> None:
    """All models of a recipe, what served, and for administrators the way back."""
    names = {recipe: seen.text(f"models_which_{recipe}") for recipe in _RECIPES}
    chosen = st.segmented_control(
        seen.text("models_which"), _RECIPES, default=DEFECTS, format_func=names.__getitem__, key="models_recipe"
    )
    recipe = chosen or DEFECTS
    try:
        first = read(BundlePage, seen.service.models(limit=_PAGE, recipe=recipe))
        at, shown = 1, first
        pages = -(-first.total // _PAGE)
        if pages > 1:
            at = int(st.number_input(seen.text("progress_page", count=pages), 1, pages, key=f"models_page_at_{recipe}"))
        if at > 1:
            shown = read(BundlePage, seen.service.models(limit=_PAGE, offset=(at - 1) * _PAGE, recipe=recipe))
    except ServiceError as error:
        st.warning(plain(error.message(seen.language)))
        return
    if first.pointer_error:
        st.warning(plain(first.pointer_error))
    if not first.bundles:
        st.info(seen.text("models_none"))
    for bundle in shown.bundles:
        with st.container(border=True, key=f"bundle_{bundle.id}"):
            word = seen.text(f"model_{bundle.state}") if bundle.state in _STATES else plain(bundle.state)
            st.markdown(f"**{plain(bundle.id)}** · {word}")
            known = [_when(seen, bundle.created) if bundle.created else "", *_scores(seen, bundle.scores.model_dump())]
            st.caption(" · ".join(part for part in [*known, size(bundle.bytes, seen.language)] if part))
            for reason in bundle.reasons:
                st.caption(plain(reason))
    _history(seen, recipe)
    _rollback(seen, first, recipe)


def _defects(seen: Visit) -> None:
    """Raises `ServiceError`."""
    try:
        card = read(FullCard, seen.service.model())
    except NoModel as error:
        st.info(plain(error.message(seen.language)))
        return
    _head(seen, card)
    _facts(seen, card)
    _figures(seen, card)
    _gate(seen, card)
    _drift(seen)
    _lineage(seen, card)


def _recogniser(seen: Visit) -> None:
    """Raises `ServiceError`."""
    st.header(seen.text("models_recogniser"), anchor=False)
    try:
        card = read(RecogniserCard, seen.service.model(ASR))
    except NoModel:
        st.caption(seen.text("models_no_recogniser"))
        return
    _head(seen, card)
    _limits(seen, card)
    st.caption(" · ".join(_scores(seen, card.metrics.model_dump() | {"test_clips": card.metrics.clips})))
    _gate(seen, card)
    _lineage(seen, card)


def _head(seen: Visit, card: InService) -> None:
    st.subheader(plain(card.bundle), anchor=False)
    if card.published:
        st.caption(seen.text("models_since", when=_when(seen, card.published)))


def _lineage(seen: Visit, card: InService) -> None:
    if card.lineage:
        with st.expander(seen.text("models_lineage")):
            st.json(card.lineage, expanded=False)


def _facts(seen: Visit, card: FullCard) -> None:
    names = [name_of(card, one.name, seen.language) for one in card.classes]
    st.markdown(seen.text("models_classes", names=plain(", ".join(names))))
    st.markdown(seen.text("models_letters", letters=plain(", ".join(card.letters) or "-")))
    _limits(seen, card)


def _limits(seen: Visit, card: InService) -> None:
    if card.limits:
        st.markdown(
            seen.text(
                "models_limits",
                least=number(card.limits.min_seconds, seen.language),
                most=number(card.limits.max_seconds, seen.language),
                size=size(card.limits.max_upload_bytes, seen.language),
            )
        )


def _figures(seen: Visit, card: FullCard) -> None:
    st.subheader(seen.text("models_figures"), anchor=False)
    figures = card.metrics
    st.caption(" · ".join(_scores(seen, figures.model_dump() | {"test_clips": figures.clips})))
    for name, each in figures.per_class.items():
        if each.f1 is not None:
            known = {"precision": each.precision, "recall": each.recall}
            parts = [
                seen.text(f"models_{kind}", value=percent(value, seen.language))
                for kind, value in known.items()
                if value is not None
            ]
            shown = f"F1 {number(each.f1, seen.language, 2)}"
            meter(name_of(card, name, seen.language), each.f1, shown, ", ".join(parts), "accent")


def _scores(seen: Visit, scores: dict[str, float | int | None]) -> list[str]:
    told = []
    for kind in ("macro_f1", "majority_macro_f1", "accuracy", "calibration_error", "wer", "cer"):
        value = scores.get(kind)
        if value is not None:
            told.append(seen.text(f"models_{kind}", value=number(value, seen.language, 3)))
    for kind in ("test_clips", "test_speakers"):
        if scores.get(kind) is not None:
            told.append(seen.text(f"models_{kind}", count=scores[kind]))
    return told


def _gate(seen: Visit, card: InService) -> None:
    if not card.gate:
        return
    with st.expander(seen.text("models_gate")):
        for condition in card.gate:
            mark = ":material/check:" if condition.passed else ":material/close:"
            st.markdown(f"{mark} {plain(condition.detail or condition.name)}")
        if card.gate_override:
            st.warning(seen.text("models_override", why=plain(card.gate_override)))


def _drift(seen: Visit) -> None:
    if seen.user is None:  # it is asked with this site's key, of which strangers shall use nothing up
        return
    try:
        answer = seen.service.drift()
        drift = read(Drift, answer) if answer is not None else None
    except ServiceError:
        return
    if drift is None or not drift.psi:
        return
    st.subheader(seen.text("models_drift"), anchor=False)
    st.caption(seen.text("models_drift_hint", count=drift.answers))
    for name, value in drift.psi.items():
        beyond_chance = value > drift.by_chance.get(name, 0.0)
        moved = ((value >= _SLIGHTLY) + (value >= _SHIFTED)) * beyond_chance
        tone, word = (("good", "little"), ("doubt", "some"), ("bad", "much"))[moved]
        meter(name, value, number(value, seen.language, 2), seen.text(f"drift_{word}"), tone)


def _history(seen: Visit, recipe: str) -> None:
    try:
        answer = seen.service.history(recipe)
        changes = read(History, answer).changes if answer is not None else []
    except ServiceError:
        return
    if not changes:
        return
    st.subheader(seen.text("models_history"), anchor=False)
    for change in changes[:_PAGE]:
        word = seen.text(f"history_{change.action}") if change.action in _ACTIONS else plain(change.action)
        st.markdown(f"{_when(seen, change.at)}: **{plain(change.after)}**, {word}")


def _rollback(seen: Visit, found: BundlePage, recipe: str) -> None:
    """Only for administrators, looked up anew for this run; the service checks its key besides."""
    if seen.user is None or not seen.user.administrator:
        return
    st.subheader(seen.text("models_rollback"), anchor=False)
    done = st.session_state.pop(_DONE, None)
    if done:
        st.success(seen.text("models_rolled_back", bundle=plain(done)))
    if found.previous is None:
        st.caption(seen.text("models_no_previous"))
        return
    with st.popover(seen.text("models_rollback_to", bundle=plain(found.previous)), icon=":material/undo:"):
        names = {"bundle": plain(found.previous), "current": plain(found.current or "-")}
        st.markdown(seen.text("models_rollback_hint", **names))
        if not st.button(seen.text("models_rollback_sure"), type="primary", key="rollback_sure"):
            return
        try:
            answer = seen.service.rollback(recipe)
        except ServiceError as error:
            st.error(seen.text("models_rollback_failed", detail=plain(error.detail or error.message(seen.language))))
            return
    st.session_state[_DONE] = str(answer.get("current", found.previous))
    st.rerun()


def _when(seen: Visit, written: str) -> str:
    try:
        return moment(datetime.fromisoformat(written), seen.language, seen.zone)
    except ValueError:
        return plain(written)
