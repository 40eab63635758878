"""Who may import whom, read from the syntax tree of every file."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tfattn"
# Each room, and the rooms that its files may import beside their own.
MAY_IMPORT = {
    "_checks": set(),
    "_choices": set(),
    "_remarks": set(),
    "_typing": set(),
    "ops": set(),
    "densities": set(),
    "layers": {"_checks", "ops", "densities"},
    "data": {"_checks", "_choices"},
    "evaluation": {"_checks", "data"},
    "plots": set(),
    "course": {"_remarks"},
    "models": {"_checks", "_choices", "ops", "densities", "layers", "data"},
    "training": {"_checks", "_choices", "models"},
    "cli": {
        *("_checks", "_choices", "data", "evaluation", "models", "plots", "training")
    },
}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """The rooms of tfattn that a file imports, wherever in it the import stands."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in {path}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "tfattn" and rest:
                rooms.add(rest.split(".")[0])
    return rooms - {"__version__"}


# What opens the house from outside may import every room.
INSIDE = [
    p for p in PACKAGE.rglob("*.py") if room_of(p) not in ("__init__", "__main__")
]


@pytest.mark.parametrize("path", INSIDE, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = room_of(path)
    # The types of annotations are for all.
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room, "_typing"}


def test_every_room_is_described():
    assert {room_of(path) for path in INSIDE} == set(MAY_IMPORT)


# What runs code from a file or a text. `LambdaCallback` is none of these: it holds
# functions of ours and is never saved.
RUNS_CODE = {"eval", "exec", "pickle", "dill", "marshal", "shelve"}
RUNS_CODE |= {"Lambda", "enable_unsafe_deserialization", "__import__"}


@pytest.mark.parametrize("path", INSIDE, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_runs_code_from_files(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[-1] for alias in node.names}
            names.add(getattr(node, "module", None))
        elif isinstance(node, ast.Name):
            names = {node.id}
        elif isinstance(node, ast.Attribute):
            names = {node.attr}
        elif isinstance(node, ast.keyword):
            allowed = isinstance(node.value, ast.Constant) and not node.value.value
            safe = node.arg not in ("allow_pickle", "safe_mode")
            assert safe or (node.arg == "allow_pickle" and allowed), path
            continue
        else:
            continue
        assert not names & RUNS_CODE, (path, names & RUNS_CODE)
