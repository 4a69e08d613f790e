"""Files that are complete or not there, and outputs that are no inputs."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import (
    atomic_path,
    check_output_file,
    check_output_folder,
    refuse_inputs,
    sweep,
    temporary_path,
    write_once,
)


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


def test_a_device_is_not_replaced(tmp_path):
    """The name of /dev/null would be that of a file, from then on and for every program."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(Sam2rlError, match="pipe is a device or a pipe, expected a file"):
        check_output_file(pipe)
    with pytest.raises(Sam2rlError, match="pipe is a device"), atomic_path(pipe):
        pass
    assert pipe.is_fifo()


# ---------------------------------------------------------------- what killed runs left


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
