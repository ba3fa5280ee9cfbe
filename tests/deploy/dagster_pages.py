"""Dagster's web server, asked as its own pages ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests


def ask(url: str, query: str, variables: Mapping[str, Any]) -> Any:
    """The data that answer a GraphQL query."""
    answer = requests.post(f"{url}/graphql", json={"query": query, "variables": dict(variables)}, timeout=60).json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]
