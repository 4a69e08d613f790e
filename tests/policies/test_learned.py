"""The policy `learned`: what it tells of its decisions, what corrections do, and which agents it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from sam2rl_tracker import Tracker
from sam2rl_tracker.agents import Agent, fingerprint, load_agent, save_agent
from sam2rl_tracker.control.agent import ControlAgent, load_control_agent, packaged_agent, save_control_agent
from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import Correction
from sam2rl_tracker.policies.learned import Learned
from sam2rl_tracker.synthetic import Scene, generate_scene

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return generate_scene(32_000_201, 8, 128)


def begun(nano: Model, scene: Scene, frames: int, policy: str = "learned", **options) -> Tracker:
    tracker = Tracker(nano, policy, **options)
    tracker.initialize(scene.images[0], scene.labels[:1] == 1)
    for image in scene.images[1:frames]:
        tracker.track(image)
    return tracker


def policy_of(tracker: Tracker) -> Learned:
    policy = tracker._objects[0].policy
    assert isinstance(policy, Learned)
    return policy


def test_the_trace_says_what_was_decided(nano: Model, scene: Scene) -> None:
    tracker, plain = begun(nano, scene, 1), begun(nano, scene, 1, "recency")
    assert "said" not in tracker.trace()[0]
    for image in scene.images[1:4]:
        mask = tracker.track(image)[0]
        plain.track(image)
        (line,) = tracker.trace()
        assert set(line["said"]) == {"candidate", "visible", "changed", "presence", "quality"}
        assert line["said"]["visible"] == mask.any()
        assert "said" not in plain.trace()[0]
    same = begun(nano, scene, 4, "learned:control=memory")
    assert not same.trace()[0]["said"]["changed"]


def always(agent: ControlAgent, presence: float) -> ControlAgent:
    """An agent that is as sure on every frame that the object is there; a logit."""
    last = agent.network.presence[1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, presence)
    return agent


def test_presence_that_is_reversed_is_told(nano: Model, scene: Scene, tmp_path) -> None:
    path = tmp_path / "blind.safetensors"
    save_control_agent(always(load_control_agent(packaged_agent(nano)), -9.0), path)
    tracker = begun(nano, scene, 1, f"learned:agent={path}")
    assert not tracker.track(scene.images[1]).any()
    (line,) = tracker.trace()
    assert line["object_score"] > 0
    assert (line["area"], line["said"]["visible"], line["said"]["changed"]) == (0, False, True)


def test_an_agent_decides_what_it_was_learned_for(nano: Model, scene: Scene, tmp_path) -> None:
    agent = load_control_agent(packaged_agent(nano))
    assert agent.learned_for == "both"
    path = tmp_path / "memory.safetensors"
    settings = {**agent.record["settings"], "control": "memory"}
    save_control_agent(replace(always(agent, -9.0), record={**agent.record, "settings": settings}), path)
    assert begun(nano, scene, 2, f"learned:agent={path}").trace()[0]["area"] > 0  # presence is SAM 2's
    assert begun(nano, scene, 2, f"learned:agent={path},control=both").trace()[0]["area"] == 0


def test_a_correction_takes_the_place_of_the_output(nano: Model, scene: Scene) -> None:
    """A mask moved by four pixels: speed and place follow it, as if the tracker had put it out."""
    tracker = begun(nano, scene, 4)
    policy = policy_of(tracker)
    before, after = policy._before, policy._state
    assert before is not None
    mask = np.roll(scene.labels[3] == 1, 4, axis=1)
    tracker.correct(1, mask=mask)
    corrected = policy._state
    assert corrected.last_box[0, 0] > after.last_box[0, 0]
    expected = 0.5 * before.velocity + 0.5 * (corrected.last_box[:, :2] - before.last_box[:, :2])
    torch.testing.assert_close(corrected.velocity, expected)
    assert corrected.judged[0, :2].tolist() == [1, 1]
    assert torch.equal(corrected.t, after.t)
    assert torch.equal(corrected.bank_facts, after.bank_facts)
    once = corrected.velocity.clone()
    tracker.correct(1, mask=mask)  # again: the same, not twice as fast
    torch.testing.assert_close(policy._state.velocity, once)


def test_a_correction_that_takes_all_away_means_absent(nano: Model, scene: Scene) -> None:
    """What the object looks like stays what it was: there is nothing to begin anew from."""
    tracker = begun(nano, scene, 4)
    policy, record = policy_of(tracker), tracker._objects[0].record
    first = policy._state.first_vector.clone()
    nothing = torch.full_like(tracker._objects[0].logits, -1024.0)
    mask, box = np.zeros(scene.labels[3].shape, dtype=bool), np.zeros(4)
    policy.correct(3, Correction(replace(record, area=0), record, mask, box, nothing, overlap=0.0))
    assert torch.equal(policy._state.first_vector, first)
    assert policy._state.judged[0, 0] == 0
    assert policy._state.hidden[0] == 1
    assert int(policy._state.count[0]) == len(policy._bank) == 0
    assert tracker.track(scene.images[4]).any()


@pytest.mark.parametrize("options", [{"exact": True}, {"dtype": "bfloat16"}])
def test_it_runs_in_every_arithmetic(nano: Model, scene: Scene, options) -> None:
    area = begun(nano, scene, 4, **options).trace()[0]["area"]
    assert area == pytest.approx(begun(nano, scene, 4).trace()[0]["area"], rel=0.05)


def test_agents_of_one_video_and_of_any_are_told_apart(nano: Model, scene: Scene, tmp_path) -> None:
    shipped = packaged_agent(nano)
    with pytest.raises(Sam2rlError, match="which the policy learned plays"):
        load_agent(shipped)
    key = fingerprint(scene.images[0], scene.labels[0] == 1, nano.hash)
    own = save_agent(Agent(key, 8, 6, {"actions": np.ones(6, dtype=np.int64)}), tmp_path)
    with pytest.raises(Sam2rlError, match="which the policy sam2rl plays"):
        begun(nano, scene, 1, f"learned:agent={own}")
    with pytest.raises(Sam2rlError, match="is a folder"):
        begun(nano, scene, 1, f"learned:agent={tmp_path}")


@pytest.mark.parametrize("damage", ["missing", "shape", "nan"])
def test_damaged_weights_are_one_sentence(nano: Model, tmp_path, damage) -> None:
    with safe_open(packaged_agent(nano), framework="pt") as file:
        about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weight = tensors.pop("embed.weight")
    if damage != "missing":
        tensors["embed.weight"] = weight[:5].contiguous() if damage == "shape" else weight * float("nan")
    path = tmp_path / "a.safetensors"
    path.write_bytes(save(tensors, metadata=about))
    with pytest.raises(Sam2rlError, match="is damaged: "):
        load_control_agent(path)
