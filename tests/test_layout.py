"""The layout: imports run one way, from the command line down to media; imports inside functions count."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import sam2rl_tracker

PACKAGE = Path(sam2rl_tracker.__file__).parent

# From the top: a room may import those that stand after it. Modules stand for themselves, folders for what is in them.
ORDER = [
    "__main__",
    "cli",
    "experiments",
    "report",
    "learning",
    "training",
    "nano",
    "vot",
    "tracking.video",
    "evaluation",
    "__init__",  # hands out `Tracker`
    "tracking",
    "policies",
    "control",
    "agents",
    "synthetic",
    "runs",
    "engine",
    "media",
    "parameters",
    "errors",
    "version",
]
SAM2 = {"engine"}  # the rooms that import the packages `sam2`,
TOOLKIT = {"vot"}  # `trax` or `vot`,
LEARNER = {"training", "learning"}  # and `stable_baselines3`
DICTIONARIES = {  # the public functions that take or give a `dict[str, Any]`, and why
    "cli.options.print_json": "it writes JSON",
    "engine.stock.stock_state": "SAM 2's own state, for SAM 2's own code",
    "parameters.parse_parameters": "keyword arguments of a class that it does not know",
    "report.style.Stroke.line": "Matplotlib's keyword arguments",
    "report.style.Style.line": "Matplotlib's keyword arguments",
    "learning.environment.TrackingControlEnv.reset": "gymnasium's interface",
    "learning.environment.TrackingControlEnv.step": "gymnasium's interface",
    "runs.folder.RunFolder.load_checkpoint": "the content of a file, handed to the one who wrote it",
    "tracking.tracker.Tracker.revise": "a trace, whose lines are JSON for users",
    "tracking.tracker.Tracker.trace": "a trace, whose lines are JSON for users",
    "training.environment.MemoryControlEnv.reset": "gymnasium's interface",
    "training.environment.MemoryControlEnv.step": "gymnasium's interface",
    "vot.coco.decode_coco": "an entry of a JSON file",
}


def room(module: str) -> str:
    """The entry of `ORDER` that a module of the package, without the package's name, belongs to."""
    fitting = [entry for entry in ORDER if module == entry or module.startswith(f"{entry}.")]
    assert fitting, f"{module} stands in no room: put it into a folder, or enter it in ORDER"
    return max(fitting, key=len)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of the modules that a piece of code imports, functions' own imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where something stands"
            assert node.module is not None
            for alias in node.names:
                inner = PACKAGE.parent.joinpath(*node.module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def own(tree: ast.AST) -> Iterator[str]:
    """Of these the package's own, without its name."""
    for name in imported(tree):
        if name == "sam2rl_tracker":
            yield "__init__"
        elif name.startswith("sam2rl_tracker."):
            yield name.removeprefix("sam2rl_tracker.")


MODULES = dict(modules())


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    here = ORDER.index(room(module))
    upward = [name for name in own(MODULES[module]) if ORDER.index(room(name)) < here]
    assert not upward, f"{module} ({ORDER[here]}) imports from above: {', '.join(upward)}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        module: {name for name in own(tree) if name in MODULES and name != module} for module, tree in MODULES.items()
    }
    seen: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            cycle = [*path[path.index(module) :], module]
            pytest.fail("a cycle of imports: " + " -> ".join(cycle))
        if module not in seen:
            for name in sorted(graph[module]):
                visit(name, (*path, module))
            seen.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(
    ("packages", "rooms"), [({"sam2"}, SAM2), ({"trax", "vot"}, TOOLKIT), ({"stable_baselines3"}, LEARNER)]
)
def test_only_one_room_imports(packages: set[str], rooms: set[str]) -> None:
    found = {
        module
        for module, tree in MODULES.items()
        if any(name.partition(".")[0] in packages for name in imported(tree)) and room(module) not in rooms
    }
    assert not found


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "report"])
def test_reports_know_nothing_of_training(module: str) -> None:
    """They read its files."""
    assert not [name for name in own(MODULES[module]) if room(name) == "training"]


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "policies"])
def test_policies_read_neither_files_nor_the_environment(module: str) -> None:
    readers = {
        "os",
        "pathlib",
        "io",
        "sam2rl_tracker.media",
        "sam2rl_tracker.agents.files",
        "sam2rl_tracker.agents.store",
    }
    found = {name for name in imported(MODULES[module]) if any(f"{name}.".startswith(f"{one}.") for one in readers)}
    assert not found


def test_the_order_names_every_room_once() -> None:
    there = {entry.stem for entry in PACKAGE.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()}
    assert {entry.partition(".")[0] for entry in ORDER} == there
    assert all(first != second for first, second in pairwise(sorted(ORDER)))


# ------------------------------------------------------------------------------------------------ fresh interpreters


def in_a_fresh_interpreter(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_any_folder_can_be_imported_first() -> None:
    folders = sorted(f"sam2rl_tracker.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py"))
    assert "sam2rl_tracker.policies" in folders
    in_a_fresh_interpreter(
        f"""
import importlib, sys
for folder in {folders}:
    importlib.import_module(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sam2rl_tracker"]:
        del sys.modules[name]
"""
    )


def test_what_starts_often_starts_fast() -> None:
    """Without PyTorch: the command line, and the tracker that the toolkit starts for each sequence."""
    in_a_fresh_interpreter(
        """
import sys
import sam2rl_tracker.cli.main, sam2rl_tracker.vot.tracker
slow = {"torch", "sam2", "vot", "stable_baselines3", "gymnasium", "matplotlib", "scipy"} & set(sys.modules)
assert not slow, slow
"""
    )


# ------------------------------------------------------------------------------------------------------ dictionaries


def public_functions(module: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """(full name, function) of a module's functions and its classes' methods that are public."""
    for node in MODULES[module].body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{module}.{node.name}", node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield f"{module}.{node.name}.{method.name}", method


def test_dictionaries_begin_where_json_is_written() -> None:
    found = set()
    for module in MODULES:
        for name, function in public_functions(module):
            arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            annotations = [function.returns, *(argument.annotation for argument in arguments)]
            mixed = any("dict[str, Any]" in ast.unparse(one) for one in annotations if one)
            if mixed and function.name not in ("as_json", "to_json"):
                found.add(name)
    assert found == set(DICTIONARIES)
