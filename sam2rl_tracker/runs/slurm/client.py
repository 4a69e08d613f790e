"""What we ask of Slurm, by its own commands and by submitit, and its answers as records and sentences.

There is no accounting on many clusters: `sacct` is never called. A job's state comes from `squeue`, which knows ended
jobs for some minutes.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam2rl_tracker.errors import Sam2rlError

TIMEOUTS = 100
"""How often a job may run out of time and be queued again. Each time it has gone on by an iteration at least."""

_MINUTES = 240  # of a job, where nothing else is said; submitit's own default is 5
_ANSWER = 60  # seconds that Slurm may take to answer

_NUMBERS = {name: name for name in ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")}
_NUMBERS["signal_delay_s"] = "slurm_signal_delay_s"  # submitit's names
_OURS = {
    "array": "--chunk",
    "array_parallelism": "--max-jobs",
    "time": "--slurm-set timeout_min=MINUTES",
    "nodes": "--max-jobs",
    "tasks_per_node": "--chunk",
    "ntasks": "--chunk",
    "ntasks_per_node": "--chunk",
}
"""{what is not to be set: what says it instead}."""

_ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}


@dataclass(frozen=True)
class Job:
    """A job of an array, as `squeue` tells it.

    Attributes:
        name: Of the array: see `records.Submission`.
        array: The array's id.
        index: Of the job in the array.
        state: Slurm's word, such as "RUNNING".
        reason: Why it waits, Slurm's word; "None" where it does not.
        node: Where it runs or ran; empty before.
    """

    name: str
    array: str
    index: int
    state: str
    reason: str
    node: str

    @property
    def is_live(self) -> bool:
        """Whether it waits, runs or will run again."""
        return self.state not in _ENDED


class NoAnswer(Sam2rlError):
    """Slurm's controller does not answer: it may be starting again."""


def check_slurm() -> None:
    """Find out whether this machine can submit jobs.

    Raises:
        Sam2rlError: Slurm or submitit is not installed here.
    """
    missing = [command for command in ("sbatch", "squeue", "scancel", "srun") if shutil.which(command) is None]
    if missing:
        raise Sam2rlError(
            f"There is no Slurm here ({missing[0]} is not found): run this on a cluster's login node, or give --jobs "
            "instead of --slurm."
        )
    try:
        import submitit  # noqa: F401  # an extra
    except ImportError as error:
        raise Sam2rlError(
            "The package submitit is missing: install it by `pip install 'sam2rl_tracker[cluster]'`, on the nodes too."
        ) from error


def most_jobs() -> int:
    """How many jobs an array may have on this cluster.

    Raises:
        NoAnswer: Slurm does not answer.
    """
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"))
    return int(found[1]) if found else 1001  # Slurm's default


def list_jobs(names: Sequence[str]) -> list[Job]:
    """Jobs of some names, as far as `squeue` knows them; of those that have ended it forgets minutes later.

    Raises:
        NoAnswer: Slurm does not answer.
    """
    if not names:
        return []
    form = "%j|%F|%K|%T|%r|%N"
    lines = _ask("squeue", "-h", "-r", "--me", "-t", "all", "-n", ",".join(names), "-o", form).splitlines()
    jobs = []
    for line in lines:
        name, array, index, state, reason, node = line.split("|")
        jobs.append(Job(name, array, int(index) if index.isdecimal() else 0, state, reason, node))  # N/A: no array
    return jobs


def cancel(names: Sequence[str]) -> None:
    """End all jobs of some names, those that wait too.

    Raises:
        NoAnswer: Slurm does not answer.
    """
    for name in names:
        _ask("scancel", "--me", "--name", name)


def partitions() -> list[str]:
    """Of this cluster; none where Slurm does not answer."""
    try:
        return sorted(set(_ask("sinfo", "-h", "-o", "%R").split()))
    except NoAnswer:
        return []


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER, check=True)
    except FileNotFoundError as error:
        raise NoAnswer(f"There is no Slurm here ({command[0]} is not found): run this on a login node.") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"Slurm does not answer ({command[0]} took {_ANSWER} s): try again later.") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or f"status {error.returncode}"
        raise NoAnswer(f"Slurm does not answer ({said}): try again later; what was submitted is kept.") from error
    return done.stdout


# ------------------------------------------------------------------------------------------------------- submitting


@dataclass(frozen=True)
class JobSettings:
    """What `--slurm-set` says of jobs.

    Attributes:
        numbers: Under submitit's names, such as "timeout_min".
        setup: Lines of shell before the work.
        options: Of `sbatch`, such as "partition"; True for one without a value.
    """

    numbers: Mapping[str, float]
    setup: tuple[str, ...]
    options: Mapping[str, str | bool]


def parse_settings(texts: Sequence[str]) -> JobSettings:
    """What `--slurm-set KEY=VALUE` says, repeated.

    `timeout_min`, `mem_gb`, `cpus_per_task`, `gpus_per_node` and `signal_delay_s` are submitit's; `setup` is a line of
    shell before the work; any other key is an option of `sbatch`, such as `partition`.

    Raises:
        Sam2rlError: A text has no value, a number is none, or another option of ours says the same.
    """
    numbers: dict[str, float] = {"timeout_min": _MINUTES}
    setup: list[str] = []
    options: dict[str, str | bool] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not key or not equals:
            raise Sam2rlError(f"--slurm-set {text} says nothing: give KEY=VALUE, such as partition=gpu.")
        if key in _OURS:
            raise Sam2rlError(f"--slurm-set {key} is not for you to set: give {_OURS[key]} instead.")
        if key == "setup":
            setup.append(value)
        elif key in _NUMBERS:
            numbers[_NUMBERS[key]] = _number(text, value)
        else:
            options[key] = True if value.lower() == "true" else value
    return JobSettings(numbers, tuple(setup), options)


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0
    if number <= 0 or (number != int(number) and not text.startswith("mem_gb")):
        raise Sam2rlError(f"--slurm-set {text} is no number of that kind: give one above 0.")
    return number if number != int(number) else int(number)


def submit(folder: Path, name: str, work: Any, jobs: int, at_once: int | None, settings: JobSettings) -> str:
    """Submit an array of jobs, of which each calls `work(folder, its index)`.

    Args:
        folder: Gets submitit's files and the jobs' logs.
        name: Of the jobs.
        work: A function of a module, or an object of a module's class.
        at_once: Jobs that run at a time; None = all.
        settings: From `parse_settings`.

    Returns:
        The array's id.

    Raises:
        Sam2rlError: Slurm refused.
    """
    import submitit
    from submitit.core.utils import FailedJobError

    executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=TIMEOUTS)
    executor.update_parameters(
        name=name,
        stderr_to_stdout=True,
        slurm_array_parallelism=at_once or jobs,
        slurm_setup=list(settings.setup),
        slurm_additional_parameters=dict(settings.options),
        **settings.numbers,
    )
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what sbatch says, too
            submitted = executor.map_array(work, [str(folder)] * jobs, range(jobs))
    except FailedJobError as error:
        raise _refused(str(error)) from error
    return submitted[0].job_id.partition("_")[0]


def _refused(said: str) -> Sam2rlError:
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ").rstrip(".") for line in said.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Try ")]
    reason = lines[0].removeprefix("Batch job submission failed: ") if lines else "without a word"
    there = f" (there are {', '.join(partitions())})" if "partition" in said.lower() else ""
    return Sam2rlError(f"Slurm refused the jobs, {reason}: change --slurm-set{there}.")
