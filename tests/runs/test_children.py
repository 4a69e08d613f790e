"""Programs that must not outlive the process that started them."""

import subprocess
import sys

import psutil

CODE = """
import subprocess, time
from sam2rl_tracker.runs.children import ending_with_us
with subprocess.Popen(["sleep", "60"]) as child, ending_with_us(child.pid):
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_a_child_of_a_killed_process_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([child], timeout=10)[1] == []
