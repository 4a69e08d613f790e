"""Stand-ins of a workspace: what the toolkit finds there, and what becomes of what it writes there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import scripted_frames

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.sequences import object_names
from sam2rl_tracker.vot.stand_in import EVALUATION, REPLACED, stand_in
from sam2rl_tracker.vot.workspace import Workspace, create, open_workspace

LENGTH = 4
NAMES = ["one", "two", "pair"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = create(tmp_path / "W")
    for name in NAMES[:2]:
        workspace.add(name, scripted_frames(LENGTH, {1: (0, range(0))}))
    workspace.add("pair", scripted_frames(LENGTH, {2: (0, range(0)), 7: (1, range(0))}))
    return workspace


def write(folder: Path, workspace: Workspace, name: str, said: str = "m1,1,1,1,0,1", length: int = LENGTH) -> Path:
    """Results on a sequence, as the toolkit leaves them; their folder."""
    objects = object_names(workspace.sequences / name)
    place = folder / "results" / "T" / "baseline" / name
    place.mkdir(parents=True, exist_ok=True)
    for k in objects:
        stem = f"{name}_{k}_001" if len(objects) > 1 else f"{name}_001"
        (place / f"{stem}.txt").write_text("1\n" + f"{said}\n" * (length - 1))
        (place / f"{stem}_time.value").write_text("0.5\n" * length)
    return place


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_toolkit_finds_the_same_but_for_the_sequences(workspace: Workspace) -> None:
    config = yaml.safe_load((workspace.folder / "config.yaml").read_text())
    with stand_in(workspace, "T", ["two"]) as view:
        seen = open_workspace(view.folder)
        own = yaml.safe_load((view.folder / "config.yaml").read_text())
        assert (seen.stack, seen.registries) == (workspace.stack, workspace.registries)
        assert [seen.sequences / name for name in seen.names()] == [workspace.sequences / "two"]
        assert own.keys() == {*config, "sequences"}
    assert not view.folder.exists()


def test_results_are_moved_when_they_are_complete(workspace: Workspace) -> None:
    results = workspace.folder / "results" / "T" / "baseline"
    with stand_in(workspace, "T", NAMES) as view:
        first = write(view.folder, workspace, "one", length=LENGTH - 1)
        view.join(ended=False)
        assert first.exists()
        assert not results.exists()
        write(view.folder, workspace, "one")
        expected = content(write(view.folder, workspace, "pair"))
        view.join(ended=False)
        assert {path.name for path in results.iterdir()} == {"one", "pair"}
        short = write(view.folder, workspace, "two")
        (short / "two_001_time.value").unlink()  # it was killed before it wrote this
        view.join(ended=True)
    assert {path.name for path in results.iterdir()} == {"one", "pair"}
    assert content(results / "pair") == expected


def test_an_object_without_results_is_not_half_of_a_sequence(workspace: Workspace) -> None:
    with stand_in(workspace, "T", NAMES) as view:
        for file in write(view.folder, workspace, "pair").glob("pair_7*"):
            file.unlink()
        view.join(ended=True)
    assert not (workspace.folder / "results").exists()


def test_what_is_complete_is_not_done_again_and_stays(workspace: Workspace) -> None:
    first = write(workspace.folder, workspace, "one")
    before = content(first)
    with stand_in(workspace, "T", NAMES) as view:
        assert content(view.folder / "results" / "T" / "baseline" / "one") == before
        view.join(ended=True)
    assert content(first) == before


def test_of_two_machines_the_first_one_stands(workspace: Workspace) -> None:
    with stand_in(workspace, "T", NAMES) as ours, stand_in(workspace, "T", NAMES) as theirs:
        write(ours.folder, workspace, "one", "m2,2,1,1,0,1")
        write(theirs.folder, workspace, "one")
        ours.join(ended=True)
        before = content(workspace.folder / "results" / "T" / "baseline" / "one")
        theirs.join(ended=True)
    assert content(workspace.folder / "results" / "T" / "baseline" / "one") == before
    assert not (workspace.folder / REPLACED).exists()


def test_what_was_incomplete_is_put_aside(workspace: Workspace) -> None:
    """Twice: the user's first and second attempt are both kept."""
    aside = workspace.folder / REPLACED / "T" / "baseline"
    for length in (2, 3):
        before = content(write(workspace.folder, workspace, "one", length=length))
        with stand_in(workspace, "T", NAMES) as view:
            assert not (view.folder / "results" / "T" / "baseline" / "one").exists()  # or it would take it for done
            new = content(write(view.folder, workspace, "one"))
            view.join(ended=True)
        assert view.replaced == 1
        assert content(workspace.folder / "results" / "T" / "baseline" / "one") == new
        assert before in map(content, aside.iterdir())
    assert len(list(aside.iterdir())) == 2


def test_what_killed_runs_left_is_moved_where_it_is_complete_and_goes(workspace: Workspace) -> None:
    left = workspace.folder / EVALUATION / "T" / ".one.sam2rl-999999999-00000000"
    expected = content(write(left, workspace, "two"))
    write(left, workspace, "pair", length=2)
    with stand_in(workspace, "T", NAMES):
        assert not left.exists()
        results = workspace.folder / "results" / "T" / "baseline"
        assert {path.name: content(path) for path in results.iterdir()} == {"two": expected}


def test_a_sequence_of_each_object(workspace: Workspace) -> None:
    """Without `multiobject` the toolkit has a folder of each; what another machine did meanwhile is not moved again."""
    text = workspace.stack.read_text().replace("multiobject: True", "multiobject: False")
    workspace.stack.write_text(text)
    results = workspace.folder / "results" / "T" / "baseline"
    with stand_in(workspace, "T", NAMES) as view:
        for k in (2, 7):
            folder = view.folder / "results" / "T" / "baseline" / f"pair_{k}"
            folder.mkdir(parents=True)
            (folder / f"pair_{k}_001.txt").write_text("1\n" * LENGTH)
            if k == 2:
                (folder / f"pair_{k}_001_time.value").write_text("0.5\n" * LENGTH)
        view.join(ended=True)
    assert [path.name for path in results.iterdir()] == ["pair_2"]
    with stand_in(workspace, "T", NAMES) as view:
        assert [path.name for path in (view.folder / "results" / "T" / "baseline").iterdir()] == ["pair_2"]


def test_a_workspace_that_cannot_be_written_is_told(workspace: Workspace) -> None:
    (workspace.folder / EVALUATION).touch()
    with pytest.raises(Sam2rlError, match=r"W cannot be written \(Not a dir"), stand_in(workspace, "T", NAMES):
        pass
