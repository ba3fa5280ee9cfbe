"""A button in a Streamlit page that sends a form to one of our routes: what Streamlit's own cannot, set a cookie."""

from __future__ import annotations

import streamlit as st

_SCRIPT = """
export default function ({ data, parentElement }) {
  const form = parentElement.querySelector("form");
  form.replaceChildren();
  form.className = data.kind;
  form.action = data.action;
  for (const [name, value] of Object.entries(data.fields)) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
  if (data.at_once) {
    form.submit();
    return;
  }
  for (const { label, name, value, off } of data.buttons) {
    const button = document.createElement("button");
    Object.assign(button, { textContent: label, name, value, disabled: off });
    button.className = data.kind;
    form.append(button);
  }
}
"""
_STYLE = """
form { display: flex; flex-wrap: wrap; gap: .25rem; margin: 0; }
form.link { justify-content: flex-end; }
button { font: inherit; font-size: .875rem; font-family: var(--st-font); color: var(--st-text-color); cursor: pointer;
  padding: .45rem .9rem; background: var(--st-background-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); }
button:hover:enabled, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button.link { border: 0; padding: .2rem .4rem; background: none; color: var(--st-primary-color); }
button:disabled { color: var(--st-text-color); opacity: .55; cursor: default; }
"""
_NAME = "vnyatno.posting"


def post_button(label: str, action: str, key: str, **fields: str) -> None:
    """A button that posts `fields` to `action`; the browser goes where the answer says."""
    _mount(action, fields, [{"label": label, "name": "", "value": "", "off": False}], "button", key)


def post_choice(labels: dict[str, str], current: str, action: str, field: str, key: str) -> None:
    """A button for each value of `field`, the current one switched off."""
    buttons = [
        {"label": label, "name": field, "value": value, "off": value == current} for value, label in labels.items()
    ]
    _mount(action, {}, buttons, "link", key)


def post_now(action: str, key: str, **fields: str) -> None:
    """Post `fields` to `action` as soon as the page is there."""
    _mount(action, fields, [], "button", key, at_once=True)


def _mount(
    action: str,
    fields: dict[str, str],
    buttons: list[dict[str, object]],
    kind: str,
    key: str,
    at_once: bool = False,
) -> None:
    form = st.components.v2.component(_NAME, html='<form method="post"></form>', css=_STYLE, js=_SCRIPT)
    data = {"action": action, "fields": fields, "buttons": buttons, "kind": kind, "at_once": at_once}
    form(data=data, key=key)
