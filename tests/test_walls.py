"""The walls between rooms: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "speech": {"pipeline", "calls", "api", "deploy", "web", "dagster", "bentoml", "streamlit", "fastapi"},
    "pipeline": {"calls", "api", "deploy", "web", "bentoml", "streamlit", "fastapi"},
    "calls": {"pipeline", "api", "deploy", "web", "dagster", "bentoml", "streamlit", "fastapi"},
    "api": {"pipeline", "deploy", "web", "dagster", "streamlit"},
    "encoders": {"calls", "api", "deploy", "web", "bench", "dagster", "bentoml", "streamlit"},
    "deploy": {"pipeline", "calls", "api", "web", "bentoml", "streamlit"},
    # The pipeline's other orchestrator, beside Dagster's daemon: it runs the stages, so it imports them.
    "deploy/vertex": {"calls", "api", "web", "bentoml", "streamlit", "fastapi"},
    "web": {"pipeline", "calls", "api", "speech", "deploy", "encoders", "bench"}
    | {"dagster", "bentoml", "fastapi", "torch"},
}
DAGSTER_ROOMS = ("assets", "jobs.py", "definitions.py", "launchpad.py")


def imported(path: Path) -> set[str]:
    """Top-level packages that a module imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_room_imports_only_what_it_may(room: str) -> None:
    inner = [ROOT / other for other in FORBIDDEN if other.startswith(f"{room}/")]
    modules = [path for path in (ROOT / room).rglob("*.py") if not any(path.is_relative_to(one) for one in inner)]
    assert modules, f"the room {room} is empty"
    broken = {str(path.relative_to(ROOT)): sorted(imported(path) & FORBIDDEN[room]) for path in modules}
    assert {path: names for path, names in broken.items() if names} == {}


def test_dagster_stays_in_its_part_of_the_pipeline() -> None:
    room = ROOT / "pipeline"
    outside = [path for path in room.rglob("*.py") if path.relative_to(room).parts[0] not in DAGSTER_ROOMS]
    assert len(outside) > 20
    assert [str(path.relative_to(ROOT)) for path in outside if "dagster" in imported(path)] == []


def test_nothing_reads_pickle() -> None:
    readers = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load", "cloudpickle.load"}
    found = []
    for path in (path for room in FORBIDDEN for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                safe = any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
                if name in readers or (name == "torch.load" and not safe):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert found == []


def test_streamlit_stays_where_pages_are_drawn() -> None:
    room = ROOT / "web"
    drawing = ("app", "pages", "theme", "visit.py", "server.py")
    outside = [path for path in room.rglob("*.py") if path.relative_to(room).parts[0] not in drawing]
    assert len(outside) > 20
    assert [str(path.relative_to(ROOT)) for path in outside if "streamlit" in imported(path)] == []
