"""The walls between rooms: who may import whom."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "tabular": {"speech", "pipeline", "calls", "api", "deploy", "web", "dagster", "bentoml", "streamlit", "fastapi"},
    "speech": {"pipeline", "calls", "api", "deploy", "web", "dagster", "bentoml", "streamlit", "fastapi"},
    "pipeline": {"calls", "api", "deploy", "web", "encoders", "bench", "bentoml", "streamlit", "fastapi"},
    "calls": {"pipeline", "api", "deploy", "web", "dagster", "bentoml", "streamlit", "fastapi"},
    "api": {"pipeline", "deploy", "web", "dagster", "streamlit"},
    "encoders": {"calls", "api", "deploy", "web", "bench", "dagster", "bentoml", "streamlit"},
    "deploy": {"pipeline", "calls", "api", "web", "bentoml", "streamlit"},
    # The pipeline's other orchestrator, beside Dagster's daemon: it runs the stages, so it imports them.
    "deploy/vertex": {"calls", "api", "web", "bentoml", "streamlit", "fastapi"},
    "web": {"pipeline", "calls", "api", "deploy", "encoders", "bench"} | {"dagster", "bentoml", "fastapi", "torch"},
}
DAGSTER_ROOMS = ("assets", "jobs.py", "definitions.py", "launchpad.py")


def read_map() -> dict[str, dict[str, set[str]]]:
    """Per house that CONTRIBUTING's map cuts into rooms: per room the rooms of that house that it may import."""
    rooms: dict[str, dict[str, set[str]]] = {}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for house, table in re.findall(r"^### (\w+)\n(.*?)(?=^#)", text, re.MULTILINE | re.DOTALL):
        rows = [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")
        ]
        rooms[house] = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in rows}
    return rooms


ROOMS = read_map()


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
    drawing = ("app", "pages", "theme", "visit.py", "runtime.py", "server.py")
    outside = [path for path in room.rglob("*.py") if path.relative_to(room).parts[0] not in drawing]
    assert len(outside) > 20
    assert [str(path.relative_to(ROOT)) for path in outside if "streamlit" in imported(path)] == []


def test_the_web_application_takes_of_speech_what_reads_zips_alone() -> None:
    named = {
        node.module
        for path in (ROOT / "web").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "speech"
    }
    assert named
    assert {module for module in named if module.split(".")[:2] != ["speech", "archives"]} == set()


def test_pages_ask_for_uploads_where_they_lie() -> None:
    """What Streamlit gives for an upload has none of its bytes."""
    called = {
        f"{path.name}:{node.lineno}"
        for path in (ROOT / "web" / "pages").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("getvalue", "getbuffer")
    }
    assert called == set()


def house_imports(house: str) -> dict[str, set[str]]:
    """Per module of a house the modules of that house that it imports, anywhere in it."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / house).rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                named |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        found[name] = {one for one in named if one in modules and one not in (name, house)}
    return found


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("house", ROOMS)
def test_rooms_import_only_the_rooms_they_may(house: str) -> None:
    broken = []
    for name, others in house_imports(house).items():
        if name == house:
            continue
        allowed = ROOMS[house][room_of(name)] | {room_of(name)}  # a KeyError names a room that the table lacks
        broken += [f"{name} imports {other}" for other in sorted(others) if room_of(other) not in allowed]
    assert broken == []


@pytest.mark.parametrize("house", ROOMS)
def test_the_table_of_rooms_names_what_there_is(house: str) -> None:
    there = {room_of(name) for name in house_imports(house) if name != house}
    assert there == set(ROOMS[house])
    assert set().union(*ROOMS[house].values()) <= there


@pytest.mark.parametrize("house", ROOMS)
def test_rooms_make_no_circle(house: str) -> None:
    TopologicalSorter(ROOMS[house]).prepare()  # raises CycleError, with the circle


@pytest.mark.parametrize("house", [*ROOMS, "calls", "tabular", "web", "encoders"])
def test_modules_make_no_circle(house: str) -> None:
    TopologicalSorter(house_imports(house)).prepare()


def test_the_map_tells_where_to_start_reading() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert len(links) > 60
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_map_names_every_house() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    beside = re.findall(r"^\| `(\w+)` \|", text[text.index("### Beside them") :], re.MULTILINE)
    assert set(ROOMS) == {"speech", "api", "pipeline", "deploy"}
    houses = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert houses <= {*ROOMS, *beside}
