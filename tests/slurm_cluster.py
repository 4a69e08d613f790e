"""A real Slurm of two nodes, by the script that SAM2RL_SLURM_START names. Both nodes are this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

VARIABLE = "SAM2RL_SLURM_START"
CONTROLLER = "slurmctld"


def wait_for(what: Callable[[], bool], seconds: float = 600) -> None:
    """Look often until something holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.1)


class Cluster:
    """A controller and the nodes n1 and n2, of a processor each.

    Args:
        folder: Of its files.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def ask(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def states(self) -> dict[str, str]:
        """{job, such as "7_0": state} of all jobs that are not forgotten."""
        lines = self.ask("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def empty(self) -> None:
        """End all jobs."""
        self.ask("scancel", "--me")
        wait_for(lambda: not self.ask("squeue", "-h"))

    def start_requeued(self) -> None:
        """Start jobs that were queued again now, and not in two minutes."""
        for job in self.ask("squeue", "-h", "-r", "-t", "PENDING", "-o", "%A").split():
            subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], check=False, capture_output=True)

    def processes_of(self, node: str) -> list[psutil.Process]:
        """All that runs on a node, and the node itself."""
        jobs = self.ask("squeue", "-h", "-o", "%A", "-w", node).split()
        found = [psutil.Process(self._process(f"slurmd-{node}"))]
        for process in psutil.process_iter(["environ", "name", "cmdline"]):
            is_step = (process.info["name"] or "").startswith("slurmstepd")
            of_node = (process.info["environ"] or {}).get("SLURMD_NODENAME") == node
            if of_node or (is_step and any(f"[{job}." in " ".join(process.info["cmdline"]) for job in jobs)):
                found.append(process)
        return found

    def kill_node(self, node: str, processes: list[psutil.Process]) -> None:
        """End a node at once, with all that runs on it: see `processes_of`, which takes a moment."""
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=died")  # as after SlurmdTimeout

    def start_node(self, node: str, mounts: dict[Path, str] | None = None) -> None:
        """Start a node, one that is idle again.

        Args:
            mounts: {folder: options of an empty file system that hides it from this node}.
        """
        pid = self.folder / "run" / f"slurmd-{node}.pid"
        if pid.exists() and psutil.pid_exists(int(pid.read_text())):
            os.kill(int(pid.read_text()), 15)
            wait_for(lambda: not pid.exists())
        lines = [f"mount -t tmpfs -o {options} none '{path}'" for path, options in (mounts or {}).items()]
        script = " && ".join([*lines, f"slurmd -N {node}"])
        subprocess.run(["unshare", "--mount", "sh", "-c", script] if mounts else ["slurmd", "-N", node], check=True)
        wait_for(lambda: self.node(node) in ("idle", "mixed", "allocated"))

    def node(self, node: str) -> str:
        return self.ask("sinfo", "-h", "-N", "-n", node, "-o", "%T").strip()

    def stop_controller(self) -> None:
        process = psutil.Process(self._process("slurmctld"))
        process.terminate()
        process.wait(20)

    def start_controller(self) -> None:
        subprocess.run(["slurmctld"], check=True)
        wait_for(lambda: subprocess.run(["squeue"], capture_output=True).returncode == 0)

    def _process(self, name: str) -> int:
        return int((self.folder / "run" / f"{name}.pid").read_text())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster, whose jobs run the code that is tested. Where none can be started, tests are skipped."""
    start = os.environ.get(VARIABLE)
    if not start:
        pytest.skip(f"{VARIABLE} names no script that starts a Slurm: see CONTRIBUTING.md")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    patch = pytest.MonkeyPatch()
    try:
        start_cluster(start, folder)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # of the jobs, too
        yield Cluster(folder)
    finally:
        subprocess.run([Path(start).with_name("stop"), folder], check=False, capture_output=True)
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)


def start_cluster(start: str, folder: Path) -> None:
    """Start a Slurm, or skip what needs it, with the reason."""
    if os.geteuid() != 0:
        pytest.skip("a Slurm is started by root")
    if any(process.info["name"] == CONTROLLER for process in psutil.process_iter(["name"])):
        pytest.skip("another Slurm is at work on this machine, and the ports are its")
    try:
        done = subprocess.run([start, folder], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{start} does not start a Slurm: {error}")
    if done.returncode or "idle" not in done.stdout:
        pytest.skip(f"{start} does not start a Slurm: {done.stderr.strip() or done.stdout.strip()}")
    if not _is_at_work(folder):  # what answered is one that began at the same time
        pytest.skip("another Slurm has the ports")


def _is_at_work(folder: Path) -> bool:
    """Whether the controller is alive that was started in a folder."""
    pid = folder / "run" / "slurmctld.pid"
    return pid.exists() and psutil.pid_exists(int(pid.read_text()))
