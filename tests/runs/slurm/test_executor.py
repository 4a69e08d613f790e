"""What becomes of tasks, by what Slurm and the nodes say of them: stand-ins of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from slurm_stand_in import StandIn, slurm  # noqa: F401  # a fixture

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Outcome
from sam2rl_tracker.runs.slurm import executor
from sam2rl_tracker.runs.slurm.executor import Slurm
from sam2rl_tracker.runs.slurm.overview import cancel_submissions, list_submissions
from sam2rl_tracker.runs.slurm.records import Failure, Report, Submission, read_submissions, write_report
from sam2rl_tracker.runs.tasks import TaskFile

FAILED = Failure("It failed.", 3, "n1", final=True)


def tasks(home: Path, count: int) -> list[TaskFile]:
    return [TaskFile("train", "{}", home / f"{k}.json", f"digest {k}") for k in range(count)]


class Play:
    """Follows tasks, while a script says what happens."""

    def __init__(self, slurm: StandIn, home: Path):  # noqa: F811
        self.slurm, self.home = slurm, home
        slurm.says("scontrol", "MaxArraySize = 5\\n")
        slurm.says("sbatch", "Submitted batch job 7\\n")

    def queue(self, *states: str) -> None:
        """What squeue says of the jobs of the newest submission."""
        name = self.newest.name
        node = "n1"
        self.slurm.says("squeue", "".join(f"{name}|7|{k}|{state}|None|{node}\\n" for k, state in enumerate(states)))

    @property
    def newest(self) -> Submission:
        return read_submissions(self.home)[-1]

    def run(self, wanted: Sequence[TaskFile], steps: Iterator[None], chunk: int = 1) -> list[Outcome[TaskFile, object]]:
        """What comes of tasks. Each time that the executor looks, the script takes a step."""
        follower = Slurm(self.home, chunk=chunk)
        return list(follower.run(print, wanted, lambda running: next(steps, None)))


@pytest.fixture
def play(slurm: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:  # noqa: F811
    monkeypatch.setattr(executor, "FILES", 0.01)
    monkeypatch.setattr(executor, "QUEUE", 0.0)
    return Play(slurm, tmp_path)


def errors(outcomes: Sequence[Outcome[TaskFile, object]]) -> list[str]:
    return [str(outcome.result) for outcome in outcomes]


def test_a_task_that_failed_on_its_node(play: Play) -> None:
    def script() -> Iterator[None]:
        play.queue("RUNNING")
        yield
        play.slurm.says("squeue", error="Unable to contact slurm controller\\n", status=1)  # it starts again
        yield
        write_report(play.newest.folder, 0, Report("n1", failures={0: FAILED, 1: FAILED}))
        yield

    found = play.run(tasks(play.home, 2), script(), chunk=2)
    assert errors(found) == ["It failed. It was tried 3 times, on n1 last."] * 2
    (overview,), problem = list_submissions(play.home)
    assert [failed.result.name for failed in overview.failed] == ["0.json", "1.json"]
    assert "Slurm does not answer" in str(problem)


def test_jobs_that_are_in_the_queue_are_followed(play: Play) -> None:
    """Whoever stops looking loses nothing."""

    def leave() -> Iterator[None]:
        play.queue("RUNNING", "PENDING")
        raise KeyboardInterrupt
        yield

    def script() -> Iterator[None]:
        write_report(play.newest.folder, 1, Report("n1", failures={0: FAILED}))
        yield

    with pytest.raises(KeyboardInterrupt):
        play.run(tasks(play.home, 2), leave())
    write_report(play.newest.folder, 0, Report("n1", failures={0: FAILED}))
    play.queue("COMPLETED", "RUNNING")  # what failed meanwhile has failed
    assert len(play.run(tasks(play.home, 2), script())) == 2
    assert [one.folder.name for one in read_submissions(play.home)] == ["0001"]
    play.queue("RUNNING", "RUNNING")
    other = [TaskFile("train", "{}", play.home / "0.json", "another digest")]
    with pytest.raises(Sam2rlError, match=r"job 7_0 works on .*0.json with other settings: wait for it, or end it by"):
        play.run(other, iter(()))


def test_a_job_that_died_with_its_task(play: Play) -> None:
    """Its task gets a job of its own, twice; the job's other task, too, but it is not to blame."""

    def script() -> Iterator[None]:
        for _ in range(3):
            folder = play.newest.folder
            (folder / "7_0_log.out").write_text("submitit INFO\nslurmstepd: error: killed\nKilled.\n")
            write_report(folder, 0, Report("n1", running=frozenset({0 if play.newest.jobs == 1 else 1})))
            if play.newest.jobs > 1:
                write_report(folder, 1, Report("n1", running=frozenset({0})))
                write_report(folder, 0, Report("n1", failures={0: FAILED}))
            play.queue(*["FAILED"] * play.newest.jobs)
            yield
            yield

    found = play.run(tasks(play.home, 2), script(), chunk=2)
    assert [outcome.task.result.name for outcome in found] == ["1.json", "0.json"]
    assert "It failed." in errors(found)[0]
    assert errors(found)[1].startswith("Its job ended under way 3 times (FAILED; Killed): see ")
    assert [one.jobs for one in read_submissions(play.home)] == [1, 2, 1]


@pytest.mark.parametrize("said", [None, "/usr/bin/python: No module named submitit\n"])
def test_a_job_that_never_began(play: Play, said: str | None) -> None:
    def script() -> Iterator[None]:
        if said:
            (play.newest.folder / "7_0_log.out").write_text(said)
        play.queue("FAILED")
        yield

    (error,) = errors(play.run(tasks(play.home, 1), script()))
    assert error.startswith("Its job ended on n1 ")
    assert "No module named submitit" in error if said else "do the nodes see" in error
    assert len(read_submissions(play.home)) == 1  # nobody tries again what needs somebody's hand


def test_cancelled(play: Play) -> None:
    def script() -> Iterator[None]:
        play.queue("PENDING")
        yield
        assert cancel_submissions(play.home) == 1
        assert f"scancel --me --name {play.newest.name}" in play.slurm.asked
        play.slurm.says("squeue")  # it is forgotten
        yield

    assert errors(play.run(tasks(play.home, 1), script())) == ["Its job was cancelled: repeat the command to go on."]


def test_more_jobs_than_an_array_may_have(play: Play) -> None:
    with pytest.raises(Sam2rlError, match=r"7 jobs are more than an array may .* cluster, 5: give --chunk 2 or"):
        play.run(tasks(play.home, 7), iter(()))
    assert not read_submissions(play.home)


def test_who_is_refused_leaves_nothing(play: Play) -> None:
    play.slurm.says("sbatch", error="sbatch: error: Invalid qos specification\\n", status=1)
    with pytest.raises(Sam2rlError, match="Slurm refused the jobs, Invalid qos specification: change --slurm-set"):
        play.run(tasks(play.home, 1), iter(()))
    assert not read_submissions(play.home)
