"""A real Slurm of two nodes, by the script that SAM2RL_SLURM_START names. Both nodes are this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

VARIABLE = "SAM2RL_SLURM_START"


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

    def kill_node(self, node: str) -> None:
        """End a node at once, with all that runs on it."""
        jobs = self.ask("squeue", "-h", "-o", "%A", "-w", node).split()
        victims = [psutil.Process(self._process(f"slurmd-{node}"))]
        for process in psutil.process_iter(["environ", "name", "cmdline"]):
            is_step = (process.info["name"] or "").startswith("slurmstepd")
            of_node = (process.info["environ"] or {}).get("SLURMD_NODENAME") == node
            if of_node or (is_step and any(f"[{job}." in " ".join(process.info["cmdline"]) for job in jobs)):
                victims.append(process)
        for process in victims:
            process.kill()
        psutil.wait_procs(victims, timeout=10)
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
    """A cluster, whose jobs run the code that is tested."""
    start = os.environ.get(VARIABLE)
    if not start:
        pytest.skip(f"{VARIABLE} names no script that starts a Slurm: see CONTRIBUTING.md")
    if os.geteuid() != 0:
        pytest.skip("a Slurm is started by root")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    root = str(Path(__file__).parents[1])
    patch = pytest.MonkeyPatch()
    try:
        subprocess.run([start, folder], check=True, capture_output=True, text=True)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PYTHONPATH", root)  # of the jobs, too
        yield Cluster(folder)
        subprocess.run(["scancel", "--me"], check=False)
    finally:
        subprocess.run([Path(start).with_name("stop"), folder], check=False)
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)
