"""What we make of Slurm's answers, by stand-ins of its commands that say what the real ones said."""

from __future__ import annotations

from pathlib import Path

import pytest
from slurm_stand_in import StandIn, slurm  # noqa: F401  # a fixture

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.slurm.client import Job, NoAnswer, cancel, check_slurm, list_jobs, most_jobs, parse_settings
from sam2rl_tracker.runs.slurm.client import submit as submit_array

BAD_PARTITION = (
    "sbatch: error: invalid partition specified: gpu\\n"
    "sbatch: error: Batch job submission failed: Invalid partition name specified\\n"
)
QUEUE = "sam2rl-a|7|0|RUNNING|None|n1\\nsam2rl-a|7|1|PENDING|BeginTime|\\nsam2rl-b|9|N/A|FAILED|NonZeroExitCode|n2\\n"


def test_jobs_as_squeue_tells_them(slurm: StandIn) -> None:  # noqa: F811
    slurm.says("squeue", QUEUE)
    jobs = list_jobs(["sam2rl-a", "sam2rl-b"])
    assert jobs == [
        Job("sam2rl-a", "7", 0, "RUNNING", "None", "n1"),
        Job("sam2rl-a", "7", 1, "PENDING", "BeginTime", ""),
        Job("sam2rl-b", "9", 0, "FAILED", "NonZeroExitCode", "n2"),  # no array
    ]
    assert [job.is_live for job in jobs] == [True, True, False]
    assert "-n sam2rl-a,sam2rl-b" in slurm.asked
    assert list_jobs([]) == []
    cancel(["sam2rl-a"])
    assert "scancel --me --name sam2rl-a" in slurm.asked


def test_the_array_limit(slurm: StandIn) -> None:  # noqa: F811
    slurm.says("scontrol", "MaxArraySize            = 17\\n")
    assert most_jobs() == 17


def test_a_controller_that_is_away(slurm: StandIn) -> None:  # noqa: F811
    error = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\\n"
    slurm.says("squeue", error=error, status=1)
    with pytest.raises(NoAnswer, match=r"Slurm does not answer \(slurm_load_jobs error: Unable to contact .*\): try"):
        list_jobs(["sam2rl-a"])


def test_no_slurm_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Sam2rlError, match=r"There is no Slurm here \(sbatch is not found\): .* --jobs"):
        check_slurm()
    with pytest.raises(NoAnswer, match="There is no Slurm here"):
        list_jobs(["sam2rl-a"])


def test_what_slurm_refuses_is_a_sentence(
    slurm: StandIn,  # noqa: F811
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    slurm.says("sbatch", error=BAD_PARTITION, status=1)
    slurm.says("sinfo", "main\\nbig\\n")
    with pytest.raises(
        Sam2rlError,
        match=r"refused the jobs, invalid partition specified: gpu: change --slurm-set .there are big, main",
    ):
        submit_array(tmp_path / "s", "sam2rl-a", print, 2, None, parse_settings(["partition=gpu"]))
    slurm.says("sbatch", error="sbatch: unrecognized option --partion=gpu\\nTry sbatch --help\\n", status=1)
    with pytest.raises(Sam2rlError, match=r"refused the jobs, unrecognized option --partion=gpu: change --slurm-set\."):
        submit_array(tmp_path / "s", "sam2rl-a", print, 1, None, parse_settings(["partion=gpu"]))
    assert capfd.readouterr() == ("", "")


def test_what_is_submitted(slurm: StandIn, tmp_path: Path) -> None:  # noqa: F811
    slurm.says("sbatch", "Submitted batch job 12\\n")
    settings = parse_settings(
        ["partition=gpu", "mem_gb=1.5", "exclusive=true", "setup=module load cuda", "timeout-min=9"]
    )
    assert submit_array(tmp_path / "s", "sam2rl-a", print, 3, 2, settings) == "12"
    script = (tmp_path / "s" / "12_submission.sh").read_text()
    for line in ("--array=0-2%2", "--job-name=sam2rl-a", "--partition=gpu", "--mem=1536MB", "--exclusive", "--time=9"):
        assert f"#SBATCH {line}\n" in script
    assert "\nmodule load cuda\n" in script


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partition", "--slurm-set partition says nothing: give KEY=VALUE"),
        ("timeout_min=soon", "timeout_min=soon is no number"),
        ("gpus_per_node=1.5", "gpus_per_node=1.5 is no number"),
        ("array=0-9", "array is not for you to set: give --chunk"),
        ("time=60", "give --slurm-set timeout_min=MINUTES instead"),
    ],
)
def test_settings_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(Sam2rlError, match=message):
        parse_settings([text])
