"""Training, interrupted and resumed; agents as files; and the same agent through the VOT toolkit."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from reference import load_video
from safetensors.numpy import save_file

from sam2rl_tracker import Tracker
from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.agents.files import load_agent, save_agent
from sam2rl_tracker.agents.store import agents_folder, publish
from sam2rl_tracker.engine import Engine, Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.runs.executors import Outcome
from sam2rl_tracker.runs.folder import RunFolder
from sam2rl_tracker.training.ppo import Progress, train
from sam2rl_tracker.training.search import beam_ladder
from sam2rl_tracker.training.searcher import search_object
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.training.trainer import TrainingResult, train_all, train_object
from sam2rl_tracker.vot.clips import load_clip, objects_of
from sam2rl_tracker.vot.collect import collect
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.workspace import Workspace, create

FRAMES = 10
QUICK = Settings(iterations=4, samples=64, hidden=16, batch_size=32, imitation=0, beam=1)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clip() -> Clip:
    video = load_video("scene-930014")
    part = slice(FRAMES)
    return Clip(video.images[part], video.truth[part], np.ones(FRAMES, dtype=bool))


@pytest.fixture
def workspace(tmp_path: Path, clip: Clip) -> Workspace:
    """Two sequences: the clip, and one of two objects, the second of which appears late."""
    made = create(tmp_path / "work")
    made.add("clip", (AnnotatedFrame(i, {1: m}) for i, m in zip(clip.images, clip.masks, strict=True)))
    shifted = np.roll(clip.masks, 30, axis=2)
    pairs = zip(clip.images, clip.masks, shifted, strict=True)
    made.add("two", (AnnotatedFrame(i, {1: a} if t < 3 else {1: a, 4: b}) for t, (i, a, b) in enumerate(pairs)))
    return made


def simulator(model: Model, clip: Clip) -> Simulator:
    return Simulator(Engine(model), clip, rows=8)


def trained(outcomes: Iterable[Outcome[Task, TrainingResult]]) -> list[TrainingResult]:
    results = []
    for outcome in outcomes:
        assert isinstance(outcome.result, TrainingResult), outcome.result
        results.append(outcome.result)
    return results


@pytest.mark.slow
def test_the_same_training_twice_gives_the_same_bits(workspace: Workspace) -> None:
    task = Task(workspace.folder, "clip", 1, settings=dataclasses.replace(QUICK, imitation=0.9, relative=True))
    files = []
    for _ in range(2):
        files.append(train_object(task).own_file.read_bytes())
        shutil.rmtree(task.folder)
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_training_that_was_interrupted_ends_the_same(
    nano: Model, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(simulator(nano, clip), QUICK, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.iteration == 2:
            raise Killed

    def killed_before(*_: object) -> None:
        raise Killed

    for step in ("save_checkpoint", "add_progress"):  # whichever is first: an iteration is in both or is done again
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, step, killed_before)
            with pytest.raises(Killed):
                train(simulator(nano, clip), QUICK, tmp_path / "halves")
    with pytest.raises(Killed):
        train(simulator(nano, clip), QUICK, tmp_path / "halves", kill)
    halves = train(simulator(nano, clip), QUICK, tmp_path / "halves")
    for name, value in whole.tensors.items():
        assert np.array_equal(value, halves.tensors[name])
    assert halves.best_actions == whole.best_actions
    assert halves.progress.steps == whole.progress.steps == 4 * (64 + 8)  # the greedy rollouts too
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
def test_imitation_keeps_the_best_rollout(nano: Model, clip: Clip, tmp_path: Path, width: int) -> None:
    """From the first iteration on the policy is as good as the beam it begins with, and then as the best rollout."""
    found = beam_ladder(simulator(nano, clip), width)
    seen: list[Progress] = []
    settings = dataclasses.replace(QUICK, imitation=0.9, hidden=64, beam=width)
    result = train(
        simulator(nano, clip), settings, tmp_path, lambda progress: seen.append(dataclasses.replace(progress))
    )
    assert [progress.greedy for progress in seen] == pytest.approx([progress.best for progress in seen])
    assert seen[0].best >= found.quality
    # The first imitation, then rollouts, the one to imitate, and the likeliest one.
    assert result.progress.steps == found.steps + 8 + 4 * (64 + 8 + 8)


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


def test_patience_stops_early(nano: Model, clip: Clip, tmp_path: Path) -> None:
    simulated = simulator(nano, clip)
    simulated.reward = lambda state: 0.0  # type: ignore[method-assign]
    result = train(simulated, dataclasses.replace(QUICK, iterations=50, patience=2), tmp_path)
    assert result.progress.iteration == 3


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
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_loses_the_last_iteration_only(nano: Model, clip: Clip, tmp_path: Path) -> None:
    """The system itself refuses to write: files may not grow beyond a limit, which is set after two iterations."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(progress: Progress) -> None:
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


@pytest.mark.slow
def test_the_toolkit_measures_what_training_reported(workspace: Workspace) -> None:
    tasks = [Task(workspace.folder, name, k, settings=QUICK, rows=8) for name, k in objects_of(workspace.folder).found]
    assert [(task.sequence, task.object_id) for task in tasks] == [("clip", 1), ("two", 1), ("two", 4)]
    results = trained(train_all(tasks))
    assert evaluate(workspace.folder, ["SAM2RL"]) == []
    sequences = collect(workspace.folder).analysis.sequences
    qualities = [result.quality for result in results]
    assert sequences["clip"]["SAM2RL"].quality == pytest.approx(qualities[0], abs=1e-4)
    assert sequences["two"]["SAM2RL"].quality == pytest.approx(np.mean(qualities[1:]), abs=1e-4)


@pytest.mark.slow
def test_of_several_seeds_the_best_stays(workspace: Workspace) -> None:
    """In two processes, whose progress is told as it comes."""
    tasks = [
        Task(workspace.folder, "clip", 1, settings=dataclasses.replace(QUICK, seed=seed), rows=8) for seed in (3, 4)
    ]
    seen: set[tuple[int, int]] = set()
    done = train_all(tasks, jobs=2, on_iteration=lambda task, now: seen.add((task.settings.seed, now.iteration)))
    results = trained(done)
    assert sorted(result.seed for result in results) == [3, 4]
    assert seen
    (path,) = agents_folder(workspace.folder).glob("*.safetensors")
    assert {result.file for result in results} == {path}
    assert load_agent(path).record["quality"] == max(result.quality for result in results)
    for task in tasks:
        assert (task.folder / path.name).is_file()


@pytest.mark.slow
def test_decisions_that_were_searched_run_in_the_toolkit(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2RL_AGENTS", str(tmp_path / "found"))
    found = [
        search_object(Task(workspace.folder, name, k, rows=8), 100, 2, save=tmp_path / "found")
        for name, k in objects_of(workspace.folder).found
    ]
    assert evaluate(workspace.folder, ["SAM2RL"]) == []
    sequences = collect(workspace.folder).analysis.sequences
    assert sequences["clip"]["SAM2RL"].quality == pytest.approx(max(found[0].replayed.values()), abs=1e-4)


@pytest.mark.slow
def test_a_search_passes_over_an_agent_of_the_shorter_video(nano: Model, clip: Clip, workspace: Workspace) -> None:
    shorter = dataclasses.replace(clip, images=clip.images[:-1])
    save_agent(scripted(nano, shorter, [0] * 7), agents_folder(workspace.folder))
    assert search_object(Task(workspace.folder, "clip", 1, rows=8), 60).agent is None
    save_agent(scripted(nano, clip, [0] * 8), agents_folder(workspace.folder))
    agent = search_object(Task(workspace.folder, "clip", 1, rows=8), 60).agent
    assert agent is not None
    assert agent > 0


def test_an_object_that_never_comes_back(nano: Model, clip: Clip, tmp_path: Path) -> None:
    """All there is to learn is to say nothing: the quality is the share of frames on which nothing is said."""
    masks = clip.masks.copy()
    masks[1:] = False
    gone = Clip(clip.images, masks, clip.known)
    result = train(simulator(nano, gone), dataclasses.replace(QUICK, imitation=0.9), tmp_path)
    again = simulator(nano, gone)
    empty = [not again.output(state).any() for state in again.rollout(result.best_actions)]
    assert result.progress.best == pytest.approx(np.mean(empty))


@pytest.mark.parametrize("qualities", [(0.5, 0.7), (0.7, 0.5)])
def test_the_better_agent_stays(nano: Model, clip: Clip, tmp_path: Path, qualities: tuple[float, float]) -> None:
    """Whichever comes last, also in another run; a damaged file is no rival."""
    (tmp_path / f"{scripted(nano, clip, [0] * 8).fingerprint}.safetensors").write_bytes(b"damaged")
    for quality in qualities:
        agent = scripted(nano, clip, [0] * 8)
        agent.record["quality"] = quality
        path = publish(agent, tmp_path)
    assert load_agent(path).record["quality"] == 0.7
    corrected = scripted(nano, clip, [0] * 8)
    corrected.record.update(quality=0.1, subject="the same first frame, another truth")
    assert load_agent(publish(corrected, tmp_path)).record["quality"] == 0.1


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_object_does_not_stop_the_others(workspace: Workspace, jobs: int) -> None:
    good, bad = (Task(workspace.folder, "clip", k, settings=QUICK, rows=8) for k in (1, 7))
    results = {outcome.task: outcome.result for outcome in train_all([bad, good], jobs)}
    first, second = results[bad], results[good]
    assert isinstance(first, Sam2rlError)
    assert "clip has no object 7: it has 1" in str(first)
    assert isinstance(second, TrainingResult)
    assert second.file.parent == agents_folder(workspace.folder)
    with pytest.raises(Sam2rlError, match="has no sequence nothing: it has clip, two"):
        objects_of(workspace.folder, ["nothing"])
    again = train_object(good)  # finished: nothing is trained anew
    assert (again.steps, again.quality) == (second.steps, second.quality)
    assert TrainingResult.from_json(second.as_json()) == second


# ------------------------------------------------------------------------------------------------------ agent files


def scripted(nano: Model, clip: Clip, actions: list[int]) -> Agent:
    key = fingerprint(clip.images[0], clip.masks[0], nano.hash)
    return Agent(key, len(clip), 6, {"actions": np.array(actions)}, {"method": "by hand"})


def test_an_agent_is_found_by_its_video(nano: Model, clip: Clip, tmp_path: Path) -> None:
    actions = [1, 1, 0, 0, 0, 0, 0, 0]
    path = save_agent(scripted(nano, clip, actions), tmp_path)
    tracker = Tracker(nano, f"sam2rl:agents={tmp_path}")
    tracker.initialize(clip.images[0], clip.masks[:1])
    for image in clip.images[1:]:
        tracker.track(image)
    assert [frame for frame, _ in tracker.trace()[0]["memories"]] == [0, 1, 2]
    with pytest.raises(Sam2rlError, match=r"trained on a video of 10 frames, but this one has more.*sam2rl train"):
        tracker.track(clip.images[0])
    with pytest.raises(Sam2rlError, match=r"has no agent for this object.*sam2rl train"):
        evaluate_policy(
            nano, Clip(clip.images[1:], clip.masks[1:], clip.known[1:]), make_policy(f"sam2rl:agents={tmp_path}")
        )
    with pytest.raises(Sam2rlError, match="trained on another video, object or model"):
        evaluate_policy(
            nano, Clip(clip.images[1:], clip.masks[1:], clip.known[1:]), make_policy(f"sam2rl:agents={path}")
        )


def test_no_agents_named(nano: Model, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAM2RL_AGENTS", raising=False)
    with pytest.raises(Sam2rlError, match="needs its agents: set SAM2RL_AGENTS"):
        evaluate_policy(nano, clip, make_policy("sam2rl"))


def test_files_that_are_no_agents(nano: Model, clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    with pytest.raises(Sam2rlError, match="does not exist"):
        load_agent(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(Sam2rlError, match="is no agent file"):
        load_agent(path)
    save_file({"x": np.zeros(2)}, path)
    with pytest.raises(Sam2rlError, match="is no agent file"):
        load_agent(path)
    about = {"format": "sam2rl-agent-1", "fingerprint": "0", "frames": 10, "capacity": 6, "record": {}}
    for change in ({"record": [1]}, {"fingerprint": 1}, {"frames": float("inf")}):
        save_file({"actions": np.zeros(8, int)}, path, metadata={"sam2rl": json.dumps({**about, **change})})
        with pytest.raises(Sam2rlError, match=r"is damaged|is no agent file"):
            load_agent(path)
    for tensors in ({"actions": np.array([9] * 8)}, {"actions": np.zeros(3, int)}, {"hidden.bias": np.zeros(3)}):
        save_file(tensors, path, metadata={"sam2rl": json.dumps(about)})
        with pytest.raises(Sam2rlError, match="is damaged"):
            load_agent(path)
    save_file({"actions": np.zeros(8, int)}, path, metadata={"sam2rl": json.dumps({**about, "format": "9"})})
    with pytest.raises(Sam2rlError, match="of format '9'"):
        load_agent(path)


def test_clips_of_a_workspace(workspace: Workspace, clip: Clip) -> None:
    late = load_clip(workspace, "two", 4)
    assert len(late) == FRAMES - 3
    assert np.array_equal(late.images[0], clip.images[3])
    assert np.array_equal(late.masks, np.roll(clip.masks, 30, axis=2)[3:])
