"""One process at a time in a folder, of a machine or of all."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest
from filelock import FileLock

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.locks import LOCK, exclusive, in_turn


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
        patch.setattr("sam2rl_tracker.media.locks._age", lambda path: 0)  # it is fresh
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
