"""Files that are complete or not there, and folders for output."""

import errno
import os
from pathlib import Path

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path, prepare_output_folder


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


def test_output_folder_new_empty_and_own(tmp_path):
    folder = tmp_path / "deep" / "out"
    assert prepare_output_folder(folder) == folder
    assert (folder / ".sam2rl").is_file()
    (folder / "0001.png").write_text("result")
    prepare_output_folder(folder)  # ours: accepted with its files
    assert (folder / "0001.png").read_text() == "result"
    (tmp_path / "empty").mkdir()
    prepare_output_folder(tmp_path / "empty", marker=".mark")
    assert os.listdir(tmp_path / "empty") == [".mark"]


def test_output_folder_of_someone_else_is_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(Sam2rlError, match="not empty"):
        prepare_output_folder(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_output_folder_with_another_marker_is_foreign(tmp_path):
    prepare_output_folder(tmp_path / "out", marker=".benchmark")
    with pytest.raises(Sam2rlError, match="not empty"):
        prepare_output_folder(tmp_path / "out")


def test_output_folder_that_is_or_lies_in_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Sam2rlError, match="is a file"):
        prepare_output_folder(tmp_path / "file")
    with pytest.raises(Sam2rlError, match="Not a directory"):
        prepare_output_folder(tmp_path / "file" / "out")


def test_output_folder_not_writable(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:  # tests may run as root, whom permissions do not stop
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(Sam2rlError, match="Permission denied"):
        prepare_output_folder(tmp_path)
