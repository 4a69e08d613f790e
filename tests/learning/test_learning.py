"""Learning from many videos: what is refused, what is repeatable, and that it goes on where it was ended."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import sam2rl_tracker.learning as learning
from sam2rl_tracker.control.agent import load_control_agent, look_parts_of, packaged_agent
from sam2rl_tracker.control.decide import Decision, decide
from sam2rl_tracker.engine import Arithmetic, Engine, load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.learning import seeds
from sam2rl_tracker.learning.environment import observation_space
from sam2rl_tracker.learning.forks import Forks
from sam2rl_tracker.learning.gather import Part, fork_part, gather_part
from sam2rl_tracker.learning.learn import learn
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.samples import read_rows
from sam2rl_tracker.learning.settings import parse_learn_settings
from sam2rl_tracker.learning.sources import keep_apart, part_of, sources_of
from sam2rl_tracker.learning.videos import encode
from sam2rl_tracker.media.images import read_image
from sam2rl_tracker.policies.learned import Learned
from sam2rl_tracker.runs.executors import run_apart
from sam2rl_tracker.runs.folder import SETTINGS
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.tracking.tracker import Tracker
from sam2rl_tracker.vot import clips
from sam2rl_tracker.vot.clips import Shown
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.workspace import create, generate

FRAMES = 10


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model("nano", "cpu"))


def scene_clip(seed: int = 32_000_003, frames: int = FRAMES) -> Clip:
    scene = generate_scene(seed, frames, 128)
    return Clip(list(scene.images), scene.labels == 1, np.ones(frames, dtype=bool))


def test_the_tracker_and_the_rollouts_decide_alike(engine) -> None:
    clip = scene_clip(frames=14)
    agent = load_control_agent(packaged_agent(engine.model)).on(engine.model)
    rollouts = Rollouts(engine, encode(engine, [clip]))
    tracker = Tracker(engine.model, "learned", num_frames=len(clip))
    tracker.initialize(clip.images[0], clip.masks[:1])
    for t, image in enumerate(clip.images[1:], start=1):
        step = rollouts.step(lambda seen, state: decide(agent(seen.observation), seen))
        mask = tracker.track(image)[0]
        (line,) = tracker.trace()
        assert line["stored"] == bool(step.decision.action[0] > 0)
        both, either = (mask & clip.masks[t]).sum(), (mask | clip.masks[t]).sum()
        assert abs(float(step.reward[0]) - (both / either if either else 1.0)) < 0.02


@pytest.mark.parametrize(("exact", "share"), [(False, 0.001), (True, 0.0)])
def test_objects_do_not_depend_on_their_company(engine, exact, share) -> None:
    scene = generate_scene(32_000_004, 8, 128, objects=2)
    masks = scene.labels[0] == np.arange(1, 3)[:, None, None]
    together = Tracker(engine.model, "learned", exact=exact)
    together.initialize(scene.images[0], masks)
    alone = Tracker(engine.model, "learned", exact=exact)
    alone.initialize(scene.images[0], masks[1:])
    for image in scene.images[1:]:
        differ = together.track(image)[1] ^ alone.track(image)[0]
        assert differ.mean() <= share


@pytest.mark.filterwarnings("ignore:(?s).*observation:UserWarning", "ignore:(?s).*minimal resolution:UserWarning")
def test_the_environment_is_one(engine) -> None:
    videos = encode(engine, [scene_clip(frames=5)])
    env = gymnasium.make(learning.ENV_ID, videos=videos, engine=engine)
    check_env(env.unwrapped)
    check_env_sb3(env.unwrapped)
    env.reset(seed=0)
    total, done = 0.0, False
    while not done:
        _, reward, done, _, info = env.step(np.array([0, 1, 1]))
        total += reward
    assert total == pytest.approx(info["quality"])


def test_the_observation_has_the_documented_shapes(engine) -> None:
    page = (Path(__file__).parents[2] / "docs" / "environment.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (L|\d+(?: x (?:\d+|L))*) \|", page, re.MULTILINE)
    space = observation_space(engine.model)
    documented = {
        name: tuple(look_parts_of(engine.model).size if n == "L" else int(n) for n in shape.split(" x "))
        for name, shape in rows
        if name in space.spaces
    }
    assert documented == {name: part.shape for name, part in space.spaces.items()}
    assert f"{look_parts_of(engine.model).size} for `nano`" in page


def test_seeds_decide_which_video_an_episode_takes(engine) -> None:
    videos = [encode(engine, [scene_clip(seed, 3)])[0] for seed in (32_000_009, 32_000_010)]
    env = gymnasium.make(learning.ENV_ID, videos=videos, engine=engine)

    def first(seed: int) -> np.ndarray:
        return env.reset(seed=seed)[0]["candidates"]

    assert np.array_equal(first(1), first(1))
    assert len({first(seed).tobytes() for seed in range(6)}) == 2


def test_rows_can_go_on_apart(engine) -> None:
    rollouts = Rollouts(engine, encode(engine, [scene_clip()]))

    def keep(seen, state) -> Decision:
        return Decision(
            seen.ious.argmax(dim=1),
            seen.object_scores > 0,
            seen.object_scores,
            seen.ious[:, 0],
            torch.ones_like(seen.ious[:, 0]).long(),
        )

    rollouts.step(keep)
    decision = keep(rollouts.predict(), rollouts.state)
    apart = rollouts.copy([0, 0])
    apart.decide(decision.take([0, 0]))
    rollouts.decide(decision)
    assert [len(bank) for bank in apart.banks] == [len(rollouts.banks[0])] * 2
    assert torch.equal(apart.state.bank_facts[1], rollouts.state.bank_facts[0])


def test_a_part_of_a_clip_begins_where_the_object_is_seen() -> None:
    known, seen = np.ones(30, dtype=bool), np.ones(30, dtype=bool)
    seen[5:25] = False
    for seed in range(8):
        part = part_of(Shown(known, seen), 6, np.random.default_rng(seed))
        assert part.stop - part.start == 6
        assert seen[part.start]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("videos=0", "too small"),
        ("teachers=-1", "too small"),
        ("control=all", "unknown"),
        ("leave_out=x", "unknown"),
        ("dropout=1", "out of range"),
    ],
)
def test_settings_out_of_range_are_refused(change, said) -> None:
    with pytest.raises(Sam2rlError, match=said):
        parse_learn_settings([change])


def workspace_of(folder: Path, images: np.ndarray, masks: np.ndarray, name: str = "one") -> str:
    """A workspace of one sequence; its folder."""
    frames = [AnnotatedFrame(image, {1: mask}) for image, mask in zip(images, masks, strict=True)]
    create(folder).add(name, frames)
    return str(folder)


def refused(train: list[str], validate: str, frames: int = 6) -> str | None:
    """What is said of an overlap; None where there is none."""
    try:
        (judge,) = sources_of([validate], seeds.VALIDATE, 128, frames)
        for source in keep_apart(sources_of(train, seeds.TRAIN, 128, frames), judge, 1, frames):
            source.clip(0, frames)
    except Sam2rlError as error:
        return str(error)
    return None


@pytest.mark.parametrize("change", ["same", "another name", "larger", "a later part"])
def test_a_validation_that_is_trained_on_is_refused_by_content(tmp_path, change) -> None:
    scene = generate_scene(32_000_005, 12, 128)
    images, masks = list(scene.images), scene.labels == 1
    train = workspace_of(tmp_path / "train", images, masks)
    if change == "larger":
        images = [cv2.resize(image, (200, 160)) for image in images]
        masks = np.stack([cv2.resize(mask.astype(np.uint8), (200, 160)) > 0 for mask in masks])
    if change == "a later part":
        images, masks = images[4:], masks[4:]
    validate = workspace_of(tmp_path / "val", images, masks, "other" if change == "another name" else "one")
    said = refused([train], validate)
    assert said
    assert "is also trained on" in said
    another = generate_scene(32_000_006, 12, 128)
    assert refused([train], workspace_of(tmp_path / "new", list(another.images), another.labels == 1)) is None


def test_generated_scenes_are_looked_for_in_workspaces(tmp_path) -> None:
    trained, validated = (generate_scene(seed, 6, 128) for seed in (seeds.TRAIN, seeds.VALIDATE))
    folders = [
        workspace_of(tmp_path / name, list(one.images), one.labels == 1)
        for name, one in (("trained", trained), ("validated", validated))
    ]
    said = refused(["generated"], folders[0])
    assert said
    assert "scene 30000000 of generated shows the same" in said
    assert "is also trained on" in str(refused([folders[1]], "generated"))
    assert refused(["generated"], folders[1]) is None
    assert refused([folders[0]], "generated") is None


def test_generated_scenes_to_learn_from_never_reach_the_validations() -> None:
    (source,) = sources_of(["generated"], seeds.TRAIN + 899_999, 128, FRAMES)
    assert source.seed(0) == seeds.TRAIN + 899_999
    assert seeds.TRAIN <= source.seed(502_000) < seeds.VALIDATE
    (judge,) = sources_of(["generated"], seeds.VALIDATE, 128, FRAMES)
    assert judge.seed(63) == seeds.VALIDATE + 63


def test_what_is_named_is_a_preset_or_a_workspace(tmp_path, monkeypatch) -> None:
    with pytest.raises(Sam2rlError, match="unknown"):
        sources_of(["generated:odd"], 0, 128, FRAMES)
    monkeypatch.chdir(tmp_path)
    generate(create(tmp_path / "generated").folder, 1, 5, 6)
    (source,) = sources_of(["./generated"], 0, 128, FRAMES)
    assert source.preset is None
    assert len(source.objects) == 1
    create(tmp_path / "empty")
    with pytest.raises(Sam2rlError, match="has no sequences"):
        sources_of(["empty"], 0, 128, FRAMES)


def test_videos_of_other_lengths_end_by_themselves(engine) -> None:
    """Beside a longer one, a video gets what it gets alone, and frames after its end are unknown."""
    short, long = scene_clip(32_000_007, 3), scene_clip(32_000_008, 6)
    agent = load_control_agent(packaged_agent(engine.model)).on(engine.model)

    def rewards(clips: list[Clip]) -> torch.Tensor:
        rollouts = Rollouts(engine, [encode(engine, [clip])[0] for clip in clips])
        steps = []
        while not rollouts.done:
            steps.append(rollouts.step(lambda seen, state: decide(agent(seen.observation), seen)))
        return torch.stack([step.reward for step in steps])

    both = rewards([short, long])
    assert both.shape == (5, 2)
    assert both[2:, 0].isnan().all()
    assert torch.allclose(both[:2, 0], rewards([short])[:, 0], atol=2e-3)
    assert torch.allclose(both[:, 1], rewards([long])[:, 0], atol=2e-3)


def test_only_the_part_is_read(tmp_path, monkeypatch) -> None:
    """Of a long video, not all images are decoded for some of them."""
    scene = generate_scene(32_000_012, 9, 128)
    folder = workspace_of(tmp_path / "W", list(scene.images), scene.labels == 1)
    (source,) = sources_of([folder], seeds.PROBE, 128, 4)
    opened: list[Path] = []
    monkeypatch.setattr(clips, "read_image", lambda path: opened.append(path) or read_image(path))
    clip = source.clip(3, 4)
    (start,) = [t for t in range(6) if np.array_equal(scene.images[t], clip.images[0])]
    assert [path.name for path in opened] == [f"{t + 1:08d}.png" for t in range(start, start + 4)]
    assert np.array_equal(clip.masks, scene.labels[start : start + 4] == 1)


def test_a_truth_that_is_too_sparse_is_told_before_any_work(tmp_path) -> None:
    scene = generate_scene(32_000_013, 8, 128)
    masks = [mask if t in (0, 7) else None for t, mask in enumerate(scene.labels == 1)]
    folder = workspace_of(tmp_path / "W", list(scene.images), masks)
    with pytest.raises(Sam2rlError, match=r"one of .*, object 1: nobody knows where the object is"):
        sources_of([folder], 0, 128, 4)
    assert len(sources_of([folder], 0, 128, 8)[0].objects) == 1


def test_the_shortest_videos_have_moments_to_compare(engine, tmp_path) -> None:
    settings = parse_learn_settings(["frames=3", "horizon=1"])
    sources = tuple(sources_of(["generated"], seeds.PROBE, 128, FRAMES))
    agent = packaged_agent(engine.model)
    path = fork_part(Part("nano", "cpu", sources, 0, 2, settings, agent, tmp_path / "forks.safetensors"))
    assert len(read_rows(Forks, [path]).returns) == 2
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(Sam2rlError, match="is damaged: delete it"):
        read_rows(Forks, [path])


@pytest.mark.parametrize(("there", "said"), [("folder", "is a folder"), ("file", "would be overwritten")])
def test_what_is_not_an_agent_is_not_overwritten(tmp_path, there, said) -> None:
    out = tmp_path / "out"
    if there == "folder":
        out.mkdir()
    else:
        out.write_text("mine")
    with pytest.raises(Sam2rlError, match=said):
        learn(["generated"], "generated", out, "nano", "cpu")
    assert there == "folder" or out.read_text() == "mine"


def test_control_is_memory_output_or_both() -> None:
    with pytest.raises(ValueError, match="give memory, output or both"):
        Learned(control="none")


CHANGES = ["videos=6", "rounds=2", "rows=2", f"frames={FRAMES}", "epochs=1", "forks=16", "horizon=3", "iterations=1"]


@pytest.mark.slow
def test_a_learning_goes_on_to_the_same_agent(tmp_path) -> None:
    """Interrupted in each of its stages or not. Without frames that lack the object, presence stays SAM 2's."""
    workspace = create(tmp_path / "val").folder
    generate(workspace, 1, 77, FRAMES)
    said: list[str] = []

    def run(name: str, changes: list[str] = CHANGES, report=said.append, **more):
        settings = parse_learn_settings(changes)
        return learn(["generated"], str(workspace), tmp_path / name, "nano", "cpu", settings, report=report, **more)

    whole = run("a.safetensors")
    assert set(whole.validation) == {"round 1", "round 2", "forks", "ppo"}
    assert not whole.sees_absence
    assert any("presence cannot be learned" in text for text in said)
    for stage in (
        "round 1 of 2: gathering",
        "round 2: epoch 1",
        "comparing",
        "PPO",
        "validating forks",
        "ppo: quality",
    ):

        def stop(text: str, stage: str = stage) -> None:
            if text.startswith(stage):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run("b.safetensors", report=stop)
    assert not (tmp_path / "b.safetensors").exists()
    resumed = run("b.safetensors")
    assert resumed.validation == whole.validation
    one, other = (load_control_agent(result.agent) for result in (whole, resumed))
    assert one.record == other.record
    states = one.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    with pytest.raises(Sam2rlError, match="was begun with videos=6"):
        run("a.safetensors", ["videos=32", *CHANGES[1:]])
    with pytest.raises(Sam2rlError, match="was begun with dtype=float32"):
        run("a.safetensors", arithmetic=Arithmetic("bfloat16"))
    generate(workspace, 1, 78, FRAMES)
    with pytest.raises(Sam2rlError, match="was begun with other videos in"):
        run("a.safetensors")
    (tmp_path / "a.safetensors.run" / SETTINGS).write_text("{")
    with pytest.raises(Sam2rlError, match="is damaged: delete"):
        run("a.safetensors")


@pytest.mark.slow
def test_a_part_is_the_same_in_another_process(tmp_path) -> None:
    """So `--jobs` changes nothing: which process works on a part is all that it decides."""
    sources = tuple(sources_of(["generated:busy"], seeds.PROBE, 128, FRAMES))
    settings = parse_learn_settings(["frames=5", "rows=2"])
    parts = [
        Part("nano", "cpu", sources, 0, 2, settings, None, tmp_path / f"{name}.safetensors")
        for name in ("here", "there")
    ]
    gather_part(parts[0])
    run_apart(gather_part, parts[1])
    assert parts[0].out.read_bytes() == parts[1].out.read_bytes()
