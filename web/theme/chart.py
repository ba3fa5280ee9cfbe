"""A curve with its trend and uncertainty, in the colours of the house."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import streamlit as st

from web.curves import Point, Trend
from web.theme import COLOURS

_HEIGHT = 190


def chart(points: Sequence[Point], trend: Trend | None, key: str) -> None:
    """Draw probabilities, 0 to 1, over time."""
    dots = [{"when": point.when.isoformat(), "value": point.value} for point in points]
    base = alt.Chart(alt.Data(values=dots)).encode(x=_time(), y=_share("value"))
    layers: list[alt.Chart] = []
    if trend:
        line = [
            {"when": at.when.isoformat(), "middle": at.middle, "low": at.low, "high": at.high} for at in trend.points
        ]
        drawn = alt.Chart(alt.Data(values=line)).encode(x=_time())
        layers.append(drawn.mark_area(opacity=0.18, color=COLOURS["accent"]).encode(y=_share("low"), y2="high:Q"))
        layers.append(drawn.mark_line(color=COLOURS["accent"]).encode(y=_share("middle")))
    layers.append(base.mark_circle(size=60, color=COLOURS["ink"], opacity=0.75))
    st.altair_chart(alt.layer(*layers).properties(height=_HEIGHT), key=key)


def _time() -> alt.X:
    # Figures alone, which are the same in every language.
    return alt.X("when:T", title=None, axis=alt.Axis(format="%d.%m %H:%M", labelOverlap=True, tickCount=4))


def _share(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5))
