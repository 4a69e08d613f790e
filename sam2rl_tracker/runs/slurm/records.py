"""The files of what was submitted to Slurm: all that the command, the nodes and `sam2rl jobs` tell each other.

`slurm/0001/` in a workspace is one submission, an array of jobs. It holds

- `submission.json`: what was submitted, and the name of the jobs, by which Slurm knows them;
- `tasks-K.json`: the tasks of job K, its chunk;
- `report-K.json`: what came of them so far, written by the node and by nobody else;
- `cancelled`, once `sam2rl jobs --cancel` ended it;
- submitit's own files, and the jobs' logs.

Whether a task is done, its result file says, and no file here.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path, write_error
from sam2rl_tracker.runs.tasks import TaskFile

FOLDER = "slurm"
"""In a workspace: a folder for each submission."""

_SUBMISSION = "submission.json"
_CANCELLED = "cancelled"


@dataclass(frozen=True)
class Submission:
    """An array of jobs that was submitted at once.

    Attributes:
        folder: Of its files.
        name: Of its jobs; no other submission has it.
        kind: Of its tasks, such as "train".
        jobs: How many.
        tasks: How many, over all jobs.
        time: When it was submitted, in seconds since 1970.
        version: Of the package that submitted it.
    """

    folder: Path
    name: str
    kind: str
    jobs: int
    tasks: int
    time: float
    version: str

    @property
    def is_cancelled(self) -> bool:
        return is_cancelled(self.folder)

    def mark_cancelled(self) -> None:
        """Keep whoever follows it from submitting it again.

        Raises:
            Sam2rlError: It cannot be written.
        """
        _write(self.folder / _CANCELLED, {"time": time.time()})

    def log(self, index: int) -> Path | None:
        """The log of a job; None where it wrote none."""
        found = sorted(self.folder.glob(f"*_{index}_0_log.out" if self.jobs > 1 else "*_0_log.out"))
        return found[-1] if found else None


@dataclass(frozen=True)
class Chunk:
    """What one job works on.

    Attributes:
        tasks: In their order.
        version: Of the package that submitted them.
        device: As `--device` names one or several; None or "cuda" = those that the job is given.
        per_device: Tasks at a time on each; None = one.
    """

    tasks: Sequence[TaskFile]
    version: str
    device: str | None = None
    per_device: int | None = None


@dataclass(frozen=True)
class Failure:
    """How a task failed.

    Attributes:
        error: A sentence.
        attempts: How often it was tried.
        node: Where it failed last.
        final: Whether it is not tried again.
    """

    error: str
    attempts: int
    node: str
    final: bool


@dataclass(frozen=True)
class Report:
    """What came of a job's tasks so far. Tasks are numbered as in the job's file.

    Attributes:
        node: That works on them, or did.
        done: Those whose results are there.
        running: Those under way, when it was written.
        failures: {task: how it failed}.
    """

    node: str = ""
    done: frozenset[int] = frozenset()
    running: frozenset[int] = frozenset()
    failures: Mapping[int, Failure] = field(default_factory=dict)

    @property
    def failed(self) -> dict[int, Failure]:
        """Those that are not tried again."""
        return {task: failure for task, failure in self.failures.items() if failure.final}


# --------------------------------------------------------------------------------------------------- what was submitted


def begin_submission(home: Path, name: str, chunks: Sequence[Chunk]) -> Submission:
    """Write down what is about to be submitted.

    Args:
        home: The workspace.
        name: Of the jobs.
        chunks: One for each job.

    Raises:
        Sam2rlError: It cannot be written.
    """
    folder = _new_folder(home / FOLDER)
    kind, tasks = chunks[0].tasks[0].kind, sum(len(chunk.tasks) for chunk in chunks)
    submission = Submission(folder, name, kind, len(chunks), tasks, time.time(), chunks[0].version)
    try:
        for index, chunk in enumerate(chunks):
            content = {"version": chunk.version, "device": chunk.device, "per_device": chunk.per_device}
            _write(folder / _chunk_name(index), {**content, "tasks": [task.as_json() for task in chunk.tasks]})
        about = asdict(submission)
        del about["folder"]
        _write(folder / _SUBMISSION, about)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return submission


def _chunk_name(index: int) -> str:
    return f"tasks-{index}.json"


def _new_folder(parent: Path) -> Path:
    """The next number. To make a folder succeeds for one machine alone, on NFS too."""
    while True:
        numbers = [int(path.name) for path in parent.glob("[0-9]*") if path.name.isdecimal()]
        folder = parent / f"{max(numbers, default=0) + 1:04d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise write_error(folder, error) from error
        return folder


def read_submissions(home: Path) -> list[Submission]:
    """Those of a workspace, the oldest first. A folder that is not complete is none."""
    found = []
    for path in sorted((home / FOLDER).glob(f"*/{_SUBMISSION}")):
        try:
            found.append(Submission(path.parent, **json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            continue
    return found


def is_cancelled(folder: Path) -> bool:
    """Whether `sam2rl jobs --cancel` ended the submission of a folder."""
    return (folder / _CANCELLED).exists()


def read_chunk(folder: Path, index: int) -> Chunk:
    """What a job works on.

    Raises:
        Sam2rlError: The file is missing or damaged.
    """
    path = folder / _chunk_name(index)
    try:
        content = json.loads(path.read_text())
        tasks = [TaskFile.from_json(task) for task in content["tasks"]]
        return Chunk(tasks, content["version"], content["device"], content["per_device"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Sam2rlError(f"{path} is damaged: delete {folder}, and repeat the command.") from error


# ------------------------------------------------------------------------------------------------------ what came of it


def write_report(folder: Path, index: int, report: Report) -> None:
    """Replace a job's report.

    Raises:
        Sam2rlError: It cannot be written.
    """
    content = {
        "node": report.node,
        "done": sorted(report.done),
        "running": sorted(report.running),
        "failures": {str(task): asdict(failure) for task, failure in report.failures.items()},
    }
    _write(folder / f"report-{index}.json", content)


def read_report(folder: Path, index: int) -> Report | None:
    """A job's report; None where there is none that can be read."""
    try:
        content = json.loads((folder / f"report-{index}.json").read_text())
        return Report(
            node=content["node"],
            done=frozenset(content["done"]),
            running=frozenset(content["running"]),
            failures={int(task): Failure(**failure) for task, failure in content["failures"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content))
