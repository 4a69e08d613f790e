"""Files that are complete or not there, outputs that are no inputs, and folders that know what was written in them."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import (
    LOCK,
    MARKER,
    OutputFolder,
    atomic_path,
    check_output_file,
    check_output_folder,
    exclusive,
    free_folder,
    in_turn,
    output_folder,
    refuse_inputs,
    sweep,
    temporary_path,
    write_once,
)

FIRST_VERSION = "This folder was written by sam2rl, which may write to it again.\n"
"""The whole marker of version 0.1.0."""


def test_atomic_path_appears_complete_and_replaces(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".txt"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def fail_halfway(path: Path, error: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, ValueError])
def test_atomic_path_leaves_nothing_on_failure(tmp_path, error):
    with pytest.raises(error):
        fail_halfway(tmp_path / "a.txt", error())
    assert not list(tmp_path.iterdir())


def test_full_disk_is_a_user_error(tmp_path):
    with pytest.raises(Sam2rlError, match="No space left"):
        fail_halfway(tmp_path / "a.txt", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- what killed runs left

KILLED = """
import os, signal, sys
from pathlib import Path
from sam2rl_tracker.media.files import output_folder, temporary_folder
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


@pytest.fixture(scope="module")
def gone() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_only_what_is_stale_and_ours_is_swept(tmp_path, gone):
    alive, day = os.getppid(), 24 * 3600
    here, there = temporary_path(tmp_path / "a").name[-12:-8], "0000"
    ages = {
        f".a.sam2rl-{gone}-{here}0123abcd.png": 0,
        f".a.b.sam2rl-{gone}-0123abcd.png": 0,
        f".a.sam2rl-{gone}-0123abcd": 0,
        f".a.sam2rl-{alive}-{here}0123abcd.png": day + 60,
        f".a.sam2rl-{gone}-{there}0123abcd.png": day + 60,
    }
    kept = {
        f".a.sam2rl-{alive}-{here}0123abcd.txt": day - 60,
        f".a.sam2rl-{gone}-{there}0123abcd.txt": day - 60,  # of another machine, where the process may be alive
        f".a.sam2rl-{os.getpid()}-{here}0123abcd.txt": 2 * day,
        f"a.sam2rl-{gone}-0123abcd.png": 2 * day,
        f".a.{gone}-0123abcd.png": 2 * day,
        f".a.sam2rl-{gone}-0123abcde.png": 2 * day,
        f".a.sam2rl-{gone}.png": 2 * day,
        ".hidden.png": 2 * day,
    }
    for name, age in {**ages, **kept}.items():
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    link = tmp_path / f".link.sam2rl-{gone}-0123abcd"
    link.symlink_to(tmp_path)
    work = tmp_path / f".work.sam2rl-{alive}-{here}0123abcd"  # written to a moment ago, though it is older itself
    (work / "color").mkdir(parents=True)
    os.utime(work, (time.time() - 2 * day,) * 2)
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, link.name, work.name}
    sweep(tmp_path / "nowhere")


def test_beside_a_file_of_the_user_only_its_own_leftovers_are_swept(tmp_path, gone):
    for name in ("o.mp4", "o.jsonl", "p.mp4"):
        stem, suffix = name.split(".")
        (tmp_path / f".{stem}.sam2rl-{gone}-0123abcd.{suffix}").write_text("half")
    check_output_file(tmp_path / "o.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {
        f".o.sam2rl-{gone}-0123abcd.jsonl",
        f".p.sam2rl-{gone}-0123abcd.mp4",
    }


# ---------------------------------------------------------------- outputs that are inputs


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A video and a folder of frames, by several names."""
    monkeypatch.chdir(tmp_path)
    Path("holiday.mp4").write_text("film")
    Path("clip").mkdir()
    Path("clip", "1.jpg").write_text("frame")
    Path("other").mkdir()
    Path("link.mp4").symlink_to("holiday.mp4")
    os.link("holiday.mp4", "twin.mp4")
    Path("frames").symlink_to("clip")
    Path("new.mp4").symlink_to(Path("clip", "new.mp4"))  # leads to nothing yet
    return [Path("holiday.mp4"), tmp_path / "clip", Path("no-such-mask.png")]


@pytest.mark.parametrize(
    "output",
    [
        "holiday.mp4",
        "./other/../holiday.mp4",
        "link.mp4",
        "twin.mp4",
        "clip",
        "clip/",
        "frames",
        "other/../frames/.",
        "no-such-mask.png",
    ],
)
def test_an_input_is_no_output(inputs, output):
    for spelled in (Path(output), Path(output).absolute()):
        with pytest.raises(Sam2rlError, match="is an input of this command"):
            refuse_inputs(spelled, inputs)


@pytest.mark.parametrize("output", ["clip/o.mp4", "frames/masks", "clip/a/b/c.jsonl", "new.mp4"])
def test_no_output_goes_into_an_input_folder(inputs, output):
    with pytest.raises(Sam2rlError, match="lies in the input folder"):
        refuse_inputs(output, inputs)


@pytest.mark.parametrize("output", ["clip-masks", "clip.mp4", "other", "other/holiday.mp4", "."])
def test_other_outputs_are_free(inputs, output):
    refuse_inputs(output, inputs)


def test_the_file_system_says_whether_case_matters(inputs, monkeypatch):
    """As where `HOLIDAY.MP4` opens `holiday.mp4`."""
    by_name = {os.path.realpath(name).casefold(): name for name in ("holiday.mp4", "clip")}
    same = os.path.samefile

    def ignore_case(*paths):
        return same(*(by_name.get(os.path.realpath(path).casefold(), path) for path in paths))

    refuse_inputs("HOLIDAY.mp4", inputs)
    monkeypatch.setattr(os.path, "samefile", ignore_case)
    for output in ("HOLIDAY.mp4", "Clip", "CLIP/masks"):
        with pytest.raises(Sam2rlError, match="input"):
            refuse_inputs(output, inputs)


def test_a_file_that_cannot_be_written_is_found_before(inputs):
    before = sorted(os.listdir())
    with pytest.raises(Sam2rlError, match="there is no folder nowhere, create it first"):
        check_output_file("nowhere/o.mp4")
    with pytest.raises(Sam2rlError, match="other is a folder, expected a file"):
        check_output_file("other")
    with pytest.raises(Sam2rlError, match=r"holiday.mp4/o.mp4 cannot be written"):
        check_output_file("holiday.mp4/o.mp4")
    with pytest.raises(Sam2rlError, match="is an input"):
        check_output_file("link.mp4", inputs)
    check_output_file("other/o.mp4", inputs)
    assert sorted(os.listdir()) == before
    assert not os.listdir("other")


def test_a_folder_for_single_files(inputs):
    with pytest.raises(Sam2rlError, match="lies in the input folder"):
        check_output_folder("clip/plots", inputs)
    with pytest.raises(Sam2rlError, match="is a file, expected a folder"):
        check_output_folder("holiday.mp4")
    with pytest.raises(Sam2rlError, match="cannot be written"):
        check_output_folder("holiday.mp4/plots")
    check_output_folder("other/plots", inputs)
    assert not os.listdir("other/plots")


# ---------------------------------------------------------------- one at a time


def test_another_process_is_refused_or_waits(tmp_path):
    folder = tmp_path / "new"
    order = []

    def second() -> None:
        with exclusive(folder, "test", timeout=10):
            order.append("second")

    with exclusive(folder, "test"):
        with (
            pytest.raises(Sam2rlError, match=r"Another test is at work in .*new: wait for it, or stop it\."),
            exclusive(folder, "test"),
        ):
            pass
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_first_to_write_a_file_writes_it(tmp_path, monkeypatch):
    path = tmp_path / "new" / "result.json"
    assert write_once(path, "first")
    assert not write_once(path, "second")
    assert path.read_text() == "first"
    assert write_once(path, "third", stands=lambda: False)  # what is there is no good
    path.unlink()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert write_once(path, "fourth")
    assert not write_once(path, "fifth")
    assert path.read_text() == "fourth"
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(Sam2rlError, match=r"result\.json cannot be written \(No space left on device\): free"):
        write_once(tmp_path / "result.json", "x")


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOLCK, "No locks available")])
def test_without_locks_only_what_needs_none_goes_on(tmp_path, monkeypatch, error):
    def acquire(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with exclusive(tmp_path, "training", elsewhere=True):
        pass
    with pytest.raises(Sam2rlError, match=r"without locks: give|No locks available"), exclusive(tmp_path, "test"):
        pass


def test_another_machine_may_do_the_same(tmp_path, monkeypatch):
    """The system's lock reaches over machines on some file systems."""
    monkeypatch.setenv("SLURMD_NODENAME", "one")
    with exclusive(tmp_path, "training", elsewhere=True):
        with (
            pytest.raises(Sam2rlError, match="Another training is at work in"),  # on the same machine
            exclusive(tmp_path, "training", elsewhere=True),
        ):
            pass
        monkeypatch.setenv("SLURMD_NODENAME", "two")
        with exclusive(tmp_path, "training", elsewhere=True):
            pass
        with pytest.raises(Sam2rlError, match="Another test is at work in"), exclusive(tmp_path, "test"):
            pass


def test_a_turn_that_a_dead_machine_left_is_taken_away(tmp_path, monkeypatch):
    turn = tmp_path / ".turn"
    turn.touch()
    with monkeypatch.context() as patch:
        patch.setattr("sam2rl_tracker.media.files._age", lambda path: 0)  # it is fresh
        with (
            pytest.raises(Sam2rlError, match=r"Another test is at work in .*: wait for it, or delete .*\.turn"),
            in_turn(tmp_path, "test", patience=0.05),
        ):
            pass
    os.utime(turn, (1, 1))
    with in_turn(tmp_path, "test"):
        assert turn.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_lock(tmp_path):
    code = "import sys, time; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire()"
    code += "; print(flush=True); time.sleep(30)"
    command = [sys.executable, "-c", code, str(tmp_path / LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(Sam2rlError, match="Another"), exclusive(tmp_path, "test"):
            pass
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).exists()
    with exclusive(tmp_path, "test"):
        pass


# ---------------------------------------------------------------- folders of results


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


def test_a_device_is_not_replaced(tmp_path):
    """The name of /dev/null would be that of a file, from then on and for every program."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(Sam2rlError, match="pipe is a device or a pipe, expected a file"):
        check_output_file(pipe)
    with pytest.raises(Sam2rlError, match="pipe is a device"), atomic_path(pipe):
        pass
    assert pipe.is_fifo()


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
