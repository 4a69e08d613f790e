"""Folders that know what was written in them."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.locks import LOCK
from sam2rl_tracker.media.output_folder import MARKER, OutputFolder, free_folder, output_folder

FIRST_VERSION = "This folder was written by sam2rl, which may write to it again.\n"
"""The whole marker of version 0.1.0."""


def write(folder: OutputFolder, **files: str) -> None:
    for name, text in files.items():
        with folder.write(f"{name}.txt") as path:
            path.write_text(text)


def run(path: Path, command: str = "track", source: str | None = None, **files: str) -> None:
    """A whole command: what it writes has these names and texts, and what it wrote before goes."""
    with output_folder(path, command, source) as folder:
        folder.refuse_others([f"{name}.txt" for name in files])
        folder.clear_old()
        write(folder, **files)


def texts(path: Path) -> dict[str, str]:
    return {file.stem: file.read_text() for file in path.glob("*.txt")}


def test_a_new_and_an_empty_folder_are_written(tmp_path):
    run(tmp_path / "deep" / "out", a="1")
    assert texts(tmp_path / "deep" / "out") == {"a": "1"}
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    run(tmp_path / "empty", a="1")
    assert texts(tmp_path / "empty") == {"a": "1"}


def test_a_folder_of_someone_else_is_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(Sam2rlError, match="is not empty and was not written by sam2rl"):
        run(tmp_path, a="1")
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_folder_of_another_command_is_untouched(tmp_path):
    run(tmp_path, command="report", a="1")
    with pytest.raises(Sam2rlError, match="was written by `sam2rl report`: give another folder"):
        run(tmp_path, command="track", b="1")
    assert texts(tmp_path) == {"a": "1"}


def test_a_folder_that_is_or_lies_in_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Sam2rlError, match="is a file"):
        run(tmp_path / "file")
    with pytest.raises(Sam2rlError, match="Not a directory"):
        run(tmp_path / "file" / "out")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:  # tests may run as root, whom permissions do not stop
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(Sam2rlError, match="Permission denied"):
        run(tmp_path)


def test_a_new_folder_goes_when_nothing_was_written(tmp_path):
    with pytest.raises(ZeroDivisionError), output_folder(tmp_path / "out", "track"):
        raise ZeroDivisionError
    assert not (tmp_path / "out").exists()
    with pytest.raises(TypeError), output_folder(tmp_path / "out", "track") as folder:
        write(folder, a="1", b=1)
    assert texts(tmp_path / "out") == {"a": "1"}


def test_two_commands_at_once(tmp_path):
    with output_folder(tmp_path, "track") as folder:
        write(folder, a="1")
        with pytest.raises(Sam2rlError, match="Another sam2rl track is at work in"):
            run(tmp_path, a="2")
        write(folder, b="1")
    assert texts(tmp_path) == {"a": "1", "b": "1"}


def test_what_was_written_before_is_replaced_and_nothing_else(tmp_path):
    run(tmp_path, a="1", b="1", c="1")
    (tmp_path / "mine.txt").write_text("drawn")
    (tmp_path / "c.txt").write_text("corrected")
    run(tmp_path, a="2", d="2")
    assert texts(tmp_path) == {"a": "2", "d": "2", "c": "corrected", "mine": "drawn"}
    run(tmp_path, b="3")
    assert texts(tmp_path) == {"b": "3", "c": "corrected", "mine": "drawn"}


def test_nothing_goes_before_it_is_asked(tmp_path):
    run(tmp_path, a="1", b="1")
    with output_folder(tmp_path, "track"):
        pass
    assert texts(tmp_path) == {"a": "1", "b": "1"}


@pytest.mark.parametrize(("name", "message"), [("mine", "was not written by sam2rl"), ("a", "was changed after")])
def test_what_others_wrote_is_not_overwritten(tmp_path, name, message):
    run(tmp_path, a="1", b="1")
    (tmp_path / f"{name}.txt").write_text("precious")
    with pytest.raises(Sam2rlError, match=rf"{name}\.txt {message}.* would be overwritten: move it away"):
        run(tmp_path, **{name: "2"})
    assert texts(tmp_path) == {"a": "1", "b": "1", name: "precious"}


def test_a_link_in_the_place_of_a_file_of_ours(tmp_path):
    run(tmp_path / "out", a="1", b="1")
    (tmp_path / "mine.txt").write_text("precious")
    for name in "ab":
        (tmp_path / "out" / f"{name}.txt").unlink()
    (tmp_path / "out" / "a.txt").symlink_to(tmp_path / "mine.txt")
    (tmp_path / "out" / "b.txt").symlink_to(tmp_path / "gone.txt")
    for name in "ab":
        with pytest.raises(Sam2rlError, match="move it away"):
            run(tmp_path / "out", **{name: "2"})
    run(tmp_path / "out", c="2")
    assert sorted(os.listdir(tmp_path / "out")) == [LOCK, MARKER, "a.txt", "b.txt", "c.txt"]
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_files_in_folders_are_listed_too(tmp_path):
    with output_folder(tmp_path, "report") as folder, folder.write("figures/plots/a.png") as path:
        path.write_text("1")
    (tmp_path / "figures" / "b.png").write_text("mine")
    with output_folder(tmp_path, "report") as folder:
        folder.clear_old()
    assert [file.name for file in tmp_path.rglob("*.png")] == ["b.png"]


def test_a_folder_of_the_first_version(tmp_path):
    """It has no list: names that are written again are replaced, and nothing goes."""
    for name, text in {MARKER: FIRST_VERSION, "a.txt": "0", "b.txt": "0"}.items():
        (tmp_path / name).write_text(text)
    run(tmp_path, a="1")
    assert texts(tmp_path) == {"a": "1", "b": "0"}
    run(tmp_path, c="2")
    assert texts(tmp_path) == {"b": "0", "c": "2"}


def test_a_run_that_was_killed_owns_what_it_wrote(tmp_path):
    run(tmp_path, a="1", b="1")
    marker = tmp_path / MARKER
    assert marker.read_text().startswith(FIRST_VERSION)
    with marker.open("a") as file:  # `a` was noted and not replaced; of `c`, half a line was noted
        file.write(json.dumps({"file": "a.txt", "digest": "0"}) + '\n{"file": "c.t')
    run(tmp_path, d="2")
    assert texts(tmp_path) == {"d": "2"}


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    run(tmp_path, a="1")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    dead, alive = (tmp_path / f".a.sam2rl-{number}-0123abcd.txt" for number in (process.pid, os.getppid()))
    users = tmp_path / f".a.{process.pid}-0123abcd.txt"
    for file in (dead, alive, users):
        file.touch()
    run(tmp_path, a="2")
    assert [file.exists() for file in (dead, alive, users)] == [False, True, True]


def test_what_a_network_drive_puts_into_a_new_folder_is_nobodys(tmp_path):
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "Thumbs.db").touch()
    run(tmp_path, a="1")
    assert (tmp_path / "Thumbs.db").exists()


def test_a_default_folder_belongs_to_its_source(tmp_path):
    first, second = tmp_path / "x" / "color", tmp_path / "y" / "color"
    for source in (first, second):
        source.mkdir(parents=True)
    path = tmp_path / "color-masks"
    assert free_folder(path, "track", first) == path
    run(path, source=str(first), a="1")
    assert free_folder(path, "track", tmp_path / "x" / ".." / "x" / "color") == path
    other = free_folder(path, "track", second)
    assert other.name == "color-masks-2"
    run(other, source=str(second), a="1")
    assert free_folder(path, "track", second) == other
    assert free_folder(path, "report", first).name == "color-masks-3"
    for name, content in {"mine": "thesis.tex", "before": MARKER}.items():  # somebody else's, and of any source
        (tmp_path / name).mkdir()
        (tmp_path / name / content).write_text(FIRST_VERSION)
        assert free_folder(tmp_path / name, "track", first).name == f"{name}-2"


KILLED = """
import os, signal, sys
from pathlib import Path
from sam2rl_tracker.media.files import temporary_folder
from sam2rl_tracker.media.output_folder import output_folder
with output_folder(sys.argv[1], "track") as folder:
    with folder.write("figures/a.png") as path, temporary_folder(folder.path / "work") as work:
        for file in (path, work / "half.txt"):
            file.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False).returncode == -signal.SIGKILL
    left = {path.parent.name for path in tmp_path.rglob("*") if path.is_file() and path.name not in (LOCK, MARKER)}
    assert len(left) == 2
    with output_folder(tmp_path, "track") as folder, folder.write("figures/b.png") as path:
        path.write_text("whole")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        LOCK,
        MARKER,
        "figures",
        "figures/b.png",
    }
