"""The rooms of the library: who may import whom, what is light to import, what no file may hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src" / "seqmill"
# From the ground up; a room imports only itself and rooms before it.
ROOMS = [
    "runtime",
    "config",
    "genome",
    "formats",
    "simulate",
    "sources",
    "stores",
    "reads",
    "examples",
    "metrics",
    "baselines",
    "models",
    "training",
    "effects",
    "evaluation",
    "report",
    "exports",
    "stages",
    "planning",
    "cli",
]
WITH_JAX = {"models", "training", "effects"}
FILES = sorted(LIBRARY.rglob("*.py"))


def room_of(path: Path) -> str | None:
    parts = path.relative_to(LIBRARY).parts
    return parts[0] if len(parts) > 1 else None


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_every_folder_is_a_known_room():
    folders = {room_of(path) for path in FILES} - {None}
    assert folders <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_rooms_import_only_downwards(path):
    room = room_of(path)
    if room in (None, "cli"):
        return  # the steps beside the rooms, and the command line, may use every room
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    for name in imported(path):
        if name.startswith("seqmill."):
            other = name.split(".")[1]
            assert other in allowed, f"{path.relative_to(ROOT)} imports {name}: {other} is above {room}"
        top = name.split(".")[0]
        if room == "runtime":
            assert top in {"seqmill", *sys.stdlib_module_names}, (
                f"{path.name}: runtime is standard library only, not {top}"
            )
        if top in {"jax", "flax", "optax"}:
            assert room in WITH_JAX, f"{path.relative_to(ROOT)} imports {top}"


def test_rooms_without_jax_work_without_jax():
    rooms = [room for room in ROOMS if room not in WITH_JAX and (LIBRARY / room).is_dir()]
    code = "import sys\n" + "".join(f"import seqmill.{room}\n" for room in rooms)
    code += (
        "heavy = {'jax', 'flax', 'tensorstore', 'matplotlib', 'sklearn'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_pickle_eval_or_shell_in_the_library():
    """Data from strangers must not become code."""
    calls = {"eval", "exec"}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in calls, f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
                assert isinstance(node.value, ast.Constant), f"{path}:{node.value.lineno}"
                assert node.value.value is False, f"{path}:{node.value.lineno}"


def test_no_file_names_a_package_index():
    # spelled in pieces, so that this file does not hold what it looks for
    pattern = re.compile("--(extra-)?index" + "-url|pypi" + r"\.org|files\.python" + "hosted")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for name in tracked or [str(path.relative_to(ROOT)) for path in FILES]:
        path = ROOT / name
        if path.is_file() and path.suffix != ".json":
            assert not pattern.search(path.read_text(errors="replace")), name


def test_the_lock_is_hashed_and_holds_every_dependency():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")
        assert re.search(rf"^{name}==", lock, flags=re.MULTILINE), f"{name} is not in requirements.lock"
    entries = re.findall(r"^\S+==.*?(?=^\S+==|\Z)", lock, flags=re.MULTILINE | re.DOTALL)
    assert all("--hash=sha256:" in entry for entry in entries)
