"""A tiny workspace with results written by hand, analysed by the real toolkit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from sam2rl_tracker.evaluation.results import Results
from sam2rl_tracker.vot.collect import Report, collect
from sam2rl_tracker.vot.regions import encode
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.tracks import read_results
from sam2rl_tracker.vot.workspace import Workspace, create

LENGTH, SIZE = 24, (40, 56)
RECENT = {t: tuple(sorted({0, *range(max(0, t - 3), t)})) if t else () for t in range(LENGTH)}
EVERY_FOURTH = {t: tuple(range(0, t, 4))[:4] for t in range(LENGTH)}


@dataclass(frozen=True)
class Made:
    """The workspace, what is true and what the trackers said in it.

    Attributes:
        truth: {(sequence, object): bool [T, h, w]}.
        answers: {tracker: the same}.
    """

    workspace: Workspace
    truth: dict[tuple[str, int], np.ndarray]
    answers: dict[str, dict[tuple[str, int], np.ndarray]]
    report: Report
    results: Results


def square(top: int, left: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + 12, left : left + 12] = True
    return mask


def true_masks(top: int, absent: range = range(0)) -> np.ndarray:
    """An object that moves to the right."""
    return np.stack([square(top, 3 + t) & (t not in absent) for t in range(LENGTH)])


def spoiled(truth: np.ndarray, shift: int, lost: range, elsewhere: range = range(0)) -> np.ndarray:
    masks = np.roll(truth, shift, axis=1)
    masks[list(lost)] = False
    masks[list(elsewhere)] = square(26, 40)
    return masks


def write_result(
    workspace: Workspace, tracker: str, sequence: str, k: int, masks: np.ndarray, banks: Mapping[int, tuple[int, ...]]
) -> None:
    several = len(list((workspace.sequences / sequence).glob("groundtruth_[0-9]*.txt"))) > 1
    folder = workspace.folder / "results" / tracker / "baseline" / sequence
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{sequence}_{k}_001" if several else f"{sequence}_001"
    lines = ["1", *(encode(mask).line() if mask.any() else "0,0,0,0" for mask in masks[1:])]
    (folder / f"{stem}.txt").write_text("\n".join(lines) + "\n")
    values = [" ".join(map(str, banks[t])) for t in range(len(masks))]
    (folder / f"{stem}_memory_frames.value").write_text("\n".join(values) + "\n")
    (folder / f"{stem}_time.value").write_text("0.02\n" * len(masks))
    (folder / f"{stem}_made_with.value").write_text("\n" + "nano 0123, cpu\n" * (len(masks) - 1))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """SAM2 loses objects that SAM2RL holds; Broken lacks frames."""
    workspace = create(tmp_path_factory.mktemp("page") / "work & space")
    truth = {
        ("one", 1): true_masks(4, absent=range(8, 20)),
        ("two&more", 1): true_masks(2),
        ("two&more", 3): true_masks(20),
    }
    rng = np.random.default_rng(0)
    for name in ("one", "two&more"):
        objects = {k: masks for (sequence, k), masks in truth.items() if sequence == name}
        images = rng.integers(0, 255, (LENGTH, *SIZE, 3), dtype=np.uint8)
        workspace.add(
            name, [AnnotatedFrame(images[t], {k: masks[t] for k, masks in objects.items()}) for t in range(LENGTH)]
        )
    answers = {
        "SAM2": {key: spoiled(masks, 2, range(6, 9), range(14, 20)) for key, masks in truth.items()},
        "SAM2RL": {key: spoiled(masks, 1, range(0)) for key, masks in truth.items()},
        "Other": {key: spoiled(masks, 2, range(6, 8)) for key, masks in truth.items()},
    }
    for tracker, found in answers.items():
        for (name, k), masks in found.items():
            write_result(workspace, tracker, name, k, masks, EVERY_FOURTH if tracker == "SAM2RL" else RECENT)
    write_result(workspace, "Broken", "one", 1, truth["one", 1][:5], RECENT)
    with (workspace.folder / "trackers.ini").open("a") as file:
        file.write(
            "\n[Broken]\nprotocol = traxpython\ncommand = pass\n\n[Other]\nprotocol = traxpython\ncommand = pass\n"
        )
    training = workspace.folder / "training" / "one_1_seed0"
    training.mkdir(parents=True)
    head = "iteration,mean,best_greedy,sam2,reuse,frames_per_second,steps"
    rows = [head, "1,0.5,0.6,0.4,0.1,90,100", "2,0.6,0.7,0.4,0.3,120,200"]
    (training / "progress.csv").write_text("\n".join(rows) + "\n")
    curves = {"random": [[50, 0.5], [200, 0.6]], "greedy": [[90, 0.65]], "beam": [[90, 0.65], [180, 0.7]]}
    (workspace.folder / "search").mkdir()
    (workspace.folder / "search" / "one_1.json").write_text(json.dumps({"sam2": 0.4, "curves": curves}))
    (workspace.folder / "search" / "two_1.json").write_text("damaged")
    report = collect(workspace.folder)
    results = read_results(workspace.folder, report)
    return Made(workspace, truth, answers, report, results)
