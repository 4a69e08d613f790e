"""What command, nodes and `sam2rl jobs` tell each other: written and read back, by several at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.slurm.records import (
    Chunk,
    Failure,
    Report,
    begin_submission,
    read_chunk,
    read_report,
    read_submissions,
    write_report,
)
from sam2rl_tracker.runs.tasks import TaskFile


def chunks(*sizes: int) -> list[Chunk]:
    """Chunks of so many tasks each."""
    return [
        Chunk(
            [TaskFile("train", f'{{"k": {k}}}', Path(f"/w/{i}-{k}.json"), "abc") for k in range(size)], "1.2", "cuda", 2
        )
        for i, size in enumerate(sizes)
    ]


def test_a_submission_is_read_back(tmp_path: Path) -> None:
    first, second = chunks(2, 1)
    one = begin_submission(tmp_path, "sam2rl-x", [first, second])
    assert (one.folder, one.kind, one.jobs, one.tasks) == (tmp_path / "slurm" / "0001", "train", 2, 3)
    assert read_chunk(one.folder, 0) == first
    assert read_chunk(one.folder, 1) == second
    two = begin_submission(tmp_path, "sam2rl-y", [second])
    assert read_submissions(tmp_path) == [one, two]
    (one.folder / "submission.json").write_text("{")  # a machine died while it wrote
    assert read_submissions(tmp_path) == [two]
    assert not two.is_cancelled
    two.mark_cancelled()
    assert two.is_cancelled
    (two.folder / "tasks-0.json").write_text("[]")
    with pytest.raises(Sam2rlError, match=r"tasks-0.json is damaged: delete .*0002, and repeat"):
        read_chunk(two.folder, 0)


def test_a_report_is_read_back(tmp_path: Path) -> None:
    assert read_report(tmp_path, 0) is None
    last, first = Failure("It failed.", 3, "n1", final=True), Failure("It failed.", 1, "n1", final=False)
    report = Report("n1", frozenset({0}), frozenset({2}), {1: last, 2: first})
    write_report(tmp_path, 0, report)
    assert read_report(tmp_path, 0) == report
    assert report.failed == {1: last}
    (tmp_path / "report-0.json").write_text("{}")
    assert read_report(tmp_path, 0) is None


def test_logs(tmp_path: Path) -> None:
    array = begin_submission(tmp_path, "sam2rl-x", chunks(*[1] * 12))
    assert array.log(1) is None
    for name in ("7_1_0_log.out", "7_11_0_log.out"):
        (array.folder / name).touch()
    assert array.log(1) == array.folder / "7_1_0_log.out"
    single = begin_submission(tmp_path, "sam2rl-y", chunks(1))
    (single.folder / "8_0_log.out").touch()
    assert single.log(0) == single.folder / "8_0_log.out"
