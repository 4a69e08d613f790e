"""Learning from many videos: what is refused, what is repeatable, and that it goes on where it was ended."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import sam2rl_tracker.learning as learning
from sam2rl_tracker.control.agent import load_control_agent, packaged_agent
from sam2rl_tracker.control.decide import Decision, decide
from sam2rl_tracker.engine import Arithmetic, Engine, load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.learning.learn import learn
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.settings import parse_learn_settings
from sam2rl_tracker.learning.sources import part_of, refuse_overlap, sources_of
from sam2rl_tracker.learning.videos import encode
from sam2rl_tracker.policies.learned import Learned
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.tracking.tracker import Tracker
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


def test_objects_do_not_depend_on_their_company(engine) -> None:
    scene = generate_scene(32_000_004, 8, 128, objects=2)
    masks = scene.labels[0] == np.arange(1, 3)[:, None, None]
    together = Tracker(engine.model, "learned")
    together.initialize(scene.images[0], masks)
    alone = Tracker(engine.model, "learned")
    alone.initialize(scene.images[0], masks[1:])
    for image in scene.images[1:]:
        differ = together.track(image)[1] ^ alone.track(image)[0]
        assert differ.mean() < 0.001


def test_the_environment_is_one(engine) -> None:
    videos = encode(engine, [scene_clip(frames=5)])
    env = gymnasium.make(learning.ENV_ID, videos=videos, engine=engine)
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    total, done = 0.0, False
    while not done:
        _, reward, done, _, info = env.step(np.array([0, 1, 1]))
        total += reward
    assert total == pytest.approx(info["quality"])


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
    clip = scene_clip(frames=30)
    clip.masks[5:25] = False
    for seed in range(8):
        part = part_of(clip, 6, np.random.default_rng(seed))
        assert len(part) == 6
        assert part.masks[0].any()


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


def test_a_validation_that_is_trained_on_is_refused_by_content(tmp_path) -> None:
    for name in ("a", "b"):  # the same scene, in two workspaces
        generate(create(tmp_path / name).folder, 1, 5, 6)
    train, validate = (sources_of([str(tmp_path / name)], 0, 128) for name in ("a", "b"))
    with pytest.raises(Sam2rlError, match="is also trained on"):
        refuse_overlap(train, validate)
    with pytest.raises(Sam2rlError, match="unknown"):
        sources_of(["generated:odd"], 0, 128)


def test_control_is_memory_output_or_both() -> None:
    with pytest.raises(ValueError, match="give memory, output or both"):
        Learned(control="none")


@pytest.mark.slow
def test_a_learning_is_repeatable_and_goes_on(tmp_path) -> None:
    """Twice the same agent; and without frames that lack the object, SAM 2's presence."""
    changes = [
        "videos=16",
        "rounds=2",
        "rows=2",
        f"frames={FRAMES}",
        "epochs=1",
        "forks=16",
        "horizon=3",
        "iterations=1",
    ]
    workspace = create(tmp_path / "val").folder
    generate(workspace, 1, 77, FRAMES)
    said: list[str] = []

    def run(name: str):
        settings = parse_learn_settings(changes)
        return learn(["generated"], str(workspace), tmp_path / name, "nano", "cpu", settings, report=said.append)

    first = run("a.safetensors")
    assert set(first.validation) == {"round 1", "round 2", "forks", "ppo"}
    assert not first.sees_absence
    assert any("presence cannot be learned" in text for text in said)
    (tmp_path / "a.safetensors.run" / "round-2.safetensors").unlink()  # as if it had been ended there
    assert run("a.safetensors").validation == first.validation
    second = run("b.safetensors")
    one, other = (load_control_agent(result.agent).network.state_dict() for result in (first, second))
    assert all(torch.equal(one[name], other[name]) for name in one)
    changes[0] = "videos=32"
    with pytest.raises(Sam2rlError, match="was begun with videos=16"):
        run("a.safetensors")
    settings = parse_learn_settings(["videos=16", *changes[1:]])
    more = ("nano", "cpu", settings)
    with pytest.raises(Sam2rlError, match="was begun with dtype=float32"):
        learn(["generated"], str(workspace), tmp_path / "a.safetensors", *more, arithmetic=Arithmetic("bfloat16"))
