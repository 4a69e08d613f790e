"""One training by PPO: what it learns, how it is interrupted and resumed, and what can go wrong with its folder."""

from __future__ import annotations

import dataclasses
import json
import resource
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from quick import QUICK, simulator

from sam2rl_tracker.engine import Arithmetic, Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.runs.folder import RunFolder
from sam2rl_tracker.training.ppo import train
from sam2rl_tracker.training.progress import TrainingProgress
from sam2rl_tracker.training.search import beam_ladder, local_search
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_training_goes_on_in_the_arithmetic_that_it_was_begun_in(
    nano: Model, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = dataclasses.replace(QUICK, iterations=1, samples=8, beam=1)
    train(simulator(nano, clip), once, tmp_path)
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert (kept["dtype"], kept["compile"]) == ("float32", False)
    other = simulator(nano, clip)
    for arithmetic, said in ((Arithmetic("bfloat16"), "dtype=float32"), (Arithmetic(compile=True), "compile=False")):
        monkeypatch.setattr(Simulator, "arithmetic", arithmetic)
        with pytest.raises(Sam2rlError, match=f"was begun with {said}: give the same"):
            train(other, once, tmp_path)
    monkeypatch.undo()
    del kept["dtype"], kept["compile"]  # as before there was a choice
    (tmp_path / "settings.json").write_text(json.dumps(kept))
    assert train(simulator(nano, clip), once, tmp_path).progress.iteration == 1


@pytest.mark.slow
@pytest.mark.parametrize("settings", [QUICK, dataclasses.replace(QUICK, imitation=0.9, local=60)], ids=["ppo", "local"])
def test_a_training_that_was_interrupted_ends_the_same(
    nano: Model, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    whole = train(simulator(nano, clip), settings, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(progress: TrainingProgress) -> None:
        if progress.iteration == 2:
            raise Killed

    def killed_before(*_: object) -> None:
        raise Killed

    for step in ("save_checkpoint", "add_progress"):  # whichever is first: an iteration is in both or is done again
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, step, killed_before)
            with pytest.raises(Killed):
                train(simulator(nano, clip), settings, tmp_path / "halves")
    with pytest.raises(Killed):
        train(simulator(nano, clip), settings, tmp_path / "halves", kill)
    halves = train(simulator(nano, clip), settings, tmp_path / "halves")
    for name, value in whole.tensors.items():
        assert np.array_equal(value, halves.tensors[name])
    assert halves.best_actions == whole.best_actions
    assert halves.progress.steps == whole.progress.steps
    if settings is QUICK:
        assert whole.progress.steps == 4 * (64 + 8), "the greedy rollouts too"
    assert halves.tried == whole.tried
    lines = (tmp_path / "halves" / "progress.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["iteration", "1", "2", "3", "4"]
    # The best rollout is one that can be taken again.
    again = simulator(nano, clip)
    assert again.quality(again.rollout(whole.best_actions)) == pytest.approx(whole.progress.best, abs=1e-9)


@pytest.mark.slow
def test_learning_finds_the_better_of_two_banks(nano: Model, clip: Clip, tmp_path: Path) -> None:
    """With a reward that says so, PPO learns to discard everything."""
    simulated = simulator(nano, clip)
    simulated.reward = lambda state: -float(len(simulated.bank(state)))  # type: ignore[method-assign]
    settings = dataclasses.replace(QUICK, iterations=40, samples=256, learning_rate=3e-3)
    result = train(simulated, settings, tmp_path)
    assert result.progress.best_greedy == 0
    assert 0 < result.progress.entropy < 0.9 * np.log(7)  # of seven actions that were equally likely at first
    assert result.progress.mean > -12  # random decisions give about -30


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 3])
def test_cloning_keeps_the_best_rollout(nano: Model, clip: Clip, tmp_path: Path, width: int) -> None:
    """From the first iteration on the policy is as good as the beam it begins with, and then as the best rollout."""
    found = beam_ladder(simulator(nano, clip), width)
    seen: list[TrainingProgress] = []
    settings = dataclasses.replace(QUICK, imitation=0.9, hidden=64, beam=width)
    result = train(
        simulator(nano, clip), settings, tmp_path, lambda progress: seen.append(dataclasses.replace(progress))
    )
    assert [progress.greedy for progress in seen] == pytest.approx([progress.best for progress in seen])
    assert seen[0].best >= found.quality
    # The first cloning, then rollouts, the one to clone, and the likeliest one.
    assert result.progress.steps == found.steps + 8 + 4 * (64 + 8 + 8)


@pytest.mark.slow
def test_local_search_improves_the_rollout_that_is_cloned(nano: Model, clip: Clip, tmp_path: Path) -> None:
    """Down to one that no single change improves; then nothing more is spent on it."""
    settings = dataclasses.replace(QUICK, iterations=3, samples=8, imitation=0.9, hidden=64, local=2000)
    seen: list[TrainingProgress] = []
    result = train(
        simulator(nano, clip), settings, tmp_path, lambda progress: seen.append(dataclasses.replace(progress))
    )
    simulated = simulator(nano, clip)
    plain = train(simulated, dataclasses.replace(settings, local=0), tmp_path / "plain")
    assert result.progress.best_greedy == pytest.approx(result.progress.best)
    assert result.progress.best > plain.progress.best
    again = local_search(simulated, result.best_actions, 2000, seed=1).found
    assert again.quality == result.progress.best
    assert result.tried > 0
    assert seen[2].best == seen[1].best
    assert seen[2].steps - seen[1].steps == 4 * 8, "a rollout, the best one again, its cloning and the likeliest"


@pytest.mark.slow
def test_relative_rewards_are_learned_from(nano: Model, clip: Clip, tmp_path: Path) -> None:
    one = dataclasses.replace(QUICK, iterations=1)
    relative = dataclasses.replace(one, relative=True)
    plain, other = (train(simulator(nano, clip), s, tmp_path / str(s.relative)) for s in (one, relative))
    assert not np.array_equal(plain.tensors["output.weight"], other.tensors["output.weight"])
    with pytest.raises(Sam2rlError, match=r"samples=8 is one rollout.* give 9 or more, or relative=0"):
        train(simulator(nano, clip), dataclasses.replace(relative, samples=8), tmp_path / "alone")
    # A training of the time before there was such a setting goes on.
    (settings,) = (tmp_path / "False").glob("settings.json")
    begun = json.loads(settings.read_text())
    settings.write_text(json.dumps({key: value for key, value in begun.items() if key != "relative"}))
    assert (
        train(simulator(nano, clip), dataclasses.replace(one, iterations=2), tmp_path / "False").progress.iteration == 2
    )
    with pytest.raises(Sam2rlError, match="was begun with relative=False: give the same"):
        train(simulator(nano, clip), relative, tmp_path / "False")


@pytest.mark.slow
def test_patience_stops_early(nano: Model, clip: Clip, tmp_path: Path) -> None:
    simulated = simulator(nano, clip)
    simulated.reward = lambda state: 0.0  # type: ignore[method-assign]
    result = train(simulated, dataclasses.replace(QUICK, iterations=50, patience=2), tmp_path)
    assert result.progress.iteration == 3


@pytest.mark.slow
def test_an_object_that_never_comes_back(nano: Model, clip: Clip, tmp_path: Path) -> None:
    """All there is to learn is to say nothing: the quality is the share of frames on which nothing is said."""
    masks = clip.masks.copy()
    masks[1:] = False
    gone = Clip(clip.images, masks, clip.known)
    result = train(simulator(nano, gone), dataclasses.replace(QUICK, imitation=0.9), tmp_path)
    again = simulator(nano, gone)
    empty = [not again.output(state).any() for state in again.rollout(result.best_actions)]
    assert result.progress.best == pytest.approx(np.mean(empty))


@pytest.mark.slow
def test_trouble_with_a_trainings_folder(nano: Model, clip: Clip, tmp_path: Path) -> None:
    train(simulator(nano, clip), dataclasses.replace(QUICK, iterations=1), tmp_path)
    with pytest.raises(Sam2rlError, match=r"was begun with learning_rate=0\.0003"):
        train(simulator(nano, clip), dataclasses.replace(QUICK, learning_rate=0.1), tmp_path)
    with FileLock(tmp_path / ".lock"), pytest.raises(Sam2rlError, match="Another training is at work"):
        train(simulator(nano, clip), QUICK, tmp_path)
    other = Clip(clip.images, np.roll(clip.masks, 1, axis=2), clip.known)
    with pytest.raises(Sam2rlError, match="begun on another video, truth or model"):
        train(simulator(nano, other), QUICK, tmp_path)
    (tmp_path / "progress.csv").write_text("nonsense\n1,2\n")  # nothing depends on it
    train(simulator(nano, clip), dataclasses.replace(QUICK, iterations=2), tmp_path)
    assert len((tmp_path / "progress.csv").read_text().splitlines()) == 2
    (tmp_path / "checkpoint.pt").write_bytes(b"broken")
    with pytest.raises(Sam2rlError, match="is damaged or of another training"):
        train(simulator(nano, clip), QUICK, tmp_path)
    (tmp_path / "settings.json").write_text("[1]")
    with pytest.raises(Sam2rlError, match=r"settings\.json is damaged"):
        train(simulator(nano, clip), QUICK, tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Sam2rlError, match="cannot be written"):
        train(simulator(nano, clip), QUICK, tmp_path / "file" / "run")


# TensorBoard's own writer meets the limit too.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_loses_the_last_iteration_only(nano: Model, clip: Clip, tmp_path: Path) -> None:
    """The system itself refuses to write: files may not grow beyond a limit, which is set after two iterations."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(progress: TrainingProgress) -> None:
        if progress.iteration == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))

    try:
        with pytest.raises(Sam2rlError, match=r"cannot be written \(File too large\)"):
            train(simulator(nano, clip), QUICK, tmp_path, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    resumed: list[int] = []
    train(simulator(nano, clip), QUICK, tmp_path, lambda progress: resumed.append(progress.iteration))
    assert resumed == [3, 4]
