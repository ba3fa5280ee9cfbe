"""How a model stands to the gate and to the model before it: parts of both recipes' cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.evaluation.bootstrap import shown_interval
from speech.bundles.gate import AnyGate, check


def champion_section(champion: Mapping[str, Any], figure: str, name: str) -> str:
    """The model beside the one in service by a `figure` of the evaluation, whose `name` people know."""
    heading = "### Beside the model that was in service\n"
    if champion.get(figure) is None:
        return f"{heading}Not compared: {champion.get('left_out') or 'there was none'}."
    left_out = f", without {champion['excluded']} that `{champion['bundle']}` was trained on"
    return f"""{heading}On the same {champion["clips"]} test clips{left_out if champion["excluded"] else ""}: {name} \
{champion[f"candidate_{figure}"]:.3f} against {champion[figure]:.3f} of
`{champion["bundle"]}`. The difference is {shown_interval(champion["difference"])}; it is worse by more than \
{champion["margin"]:g} with
probability {champion["risk"]:.3f}."""


def gate_section(gate: AnyGate, metrics: Mapping[str, Any]) -> str:
    """The gate's conditions with their outcome, and an override with its reason."""
    lines = [f"- {c.name}: {'passed' if c.passed else '**failed**'}: {c.detail}" for c in check(gate, metrics)]
    if gate.override:
        lines.append(f"\n**It serves by an override of the gate.** The reason given: {gate.override}")
    return "## Gate\n" + "\n".join(lines)
