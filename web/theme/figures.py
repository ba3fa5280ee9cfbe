"""Pictures of many calls, in the colours of the house. What is written in them comes as data, so none of it is code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import streamlit as st

from web.calls.shares import BINS, Group
from web.theme import COLOURS

_BAR = 34  # pixels a bar
_HEIGHT = 190
_AXIS = alt.Axis(format="%", tickCount=5)


def stacked(rows: Sequence[tuple[str, str, str, int]], key: str) -> None:
    """A bar for each name, whole, divided by word: `rows` of name, word, tone of `COLOURS`, count."""
    words = list(dict.fromkeys((word, tone) for _, word, tone, _ in rows))
    data = [
        {"name": name, "word": word, "count": count, "order": [each for each, _ in words].index(word)}
        for name, word, _, count in rows
    ]
    scale = alt.Scale(domain=[word for word, _ in words], range=[COLOURS[tone] for _, tone in words])
    names = list(dict.fromkeys(name for name, *_ in rows))
    drawn = (
        _of(data)
        .mark_bar(opacity=0.85)
        .encode(
            x=alt.X("count:Q", stack="normalize", title=None, axis=_AXIS),
            y=alt.Y("name:N", title=None, sort=names, axis=alt.Axis(labelLimit=130, labelOverlap=False)),
            color=alt.Color("word:N", title=None, scale=scale, legend=alt.Legend(orient="bottom", columns=2)),
            order="order:Q",
            tooltip=["name:N", "word:N", "count:Q"],
        )
    )
    st.altair_chart(drawn.properties(height=_BAR * len(names) + 100), key=key)


def histogram(bins: Sequence[int], title: str, key: str) -> None:
    """How many calls have which probability; `title` of the axis that counts them."""
    data = [{"from": at / BINS, "to": (at + 1) / BINS, "count": count} for at, count in enumerate(bins)]
    drawn = (
        _of(data)
        .mark_bar(color=COLOURS["accent"])
        .encode(
            x=alt.X("from:Q", bin="binned", title=None, axis=_AXIS, scale=alt.Scale(domain=[0, 1])),
            x2="to:Q",
            y=alt.Y("count:Q", title=title, axis=alt.Axis(tickMinStep=1)),
        )
    )
    st.altair_chart(drawn.properties(height=_HEIGHT), key=key)


def groups(found: Sequence[Group], over_time: bool, key: str) -> None:
    """The share of each group with its interval: bars, or along days."""
    data = [
        {"name": group.name, "share": group.share, "low": group.low, "high": group.high, "calls": group.assessed}
        for group in found
        if group.share is not None
    ]
    share, told = _share("share"), ["name:N", alt.Tooltip("share:Q", format=".0%"), "calls:Q"]
    if over_time:
        base = _of(data).encode(x=alt.X("name:T", title=None, axis=alt.Axis(format="%d.%m.%y", tickCount=4)))
        drawn = alt.layer(
            base.mark_rule(color=COLOURS["muted"]).encode(y=_share("low"), y2="high:Q"),
            base.mark_line(color=COLOURS["accent"]).encode(y=share),
            base.mark_circle(size=60, color=COLOURS["ink"]).encode(y=share, tooltip=told),
        ).properties(height=_HEIGHT)
    else:
        base = _of(data).encode(y=alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=130)))
        across: dict[str, Any] = {"title": None, "axis": _AXIS, "scale": alt.Scale(domain=[0, 1])}
        drawn = alt.layer(
            base.mark_bar(color=COLOURS["accent"], opacity=0.75).encode(x=alt.X("share:Q", **across), tooltip=told),
            base.mark_rule(color=COLOURS["ink"]).encode(x=alt.X("low:Q", **across), x2="high:Q"),
        ).properties(height=_BAR * len(data) + 40)
    st.altair_chart(drawn, key=key)


def _of(data: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=data))


def _share(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=_AXIS)
