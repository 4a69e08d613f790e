"""The network sees sets: what it says follows no order of candidates, and nothing that is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.agent import load_control_agent, packaged_agent, save_control_agent
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import CANDIDATE, FRAME, MEMORY, PAIR, Observation
from sam2rl_tracker.engine import load_model, random_model
from sam2rl_tracker.errors import Sam2rlError

LOOK = 10


def some(rows: int = 4, held: int = 3) -> Observation:
    torch.manual_seed(0)
    return Observation(
        candidates=torch.randn(rows, 3, len(CANDIDATE)),
        looks=torch.randn(rows, 3, LOOK),
        past=torch.randn(rows, 3, LOOK),
        frame=torch.randn(rows, len(FRAME)),
        memories=torch.randn(rows, 1 + CAPACITY, len(MEMORY)),
        pairs=torch.randn(rows, 3, 1 + CAPACITY, len(PAIR)),
        held=(torch.arange(1 + CAPACITY) <= held).expand(rows, -1),
    )


def network() -> ControlNetwork:
    torch.manual_seed(1)
    return ControlNetwork(LOOK, width=16).eval()


def test_the_order_of_candidates_does_not_matter() -> None:
    seen, turned = some(), [2, 0, 1]
    moved = replace(
        seen, candidates=seen.candidates[:, turned], looks=seen.looks[:, turned], pairs=seen.pairs[:, turned]
    )
    before, after = network()(seen), network()(moved)
    torch.testing.assert_close(before.quality[:, turned], after.quality)
    torch.testing.assert_close(before.presence, after.presence)
    torch.testing.assert_close(before.memory, after.memory)


def test_the_order_of_memories_does_not_matter() -> None:
    seen, turned = some(held=CAPACITY), [0, 3, 1, 2, 6, 5, 4]
    moved = replace(seen, memories=seen.memories[:, turned], pairs=seen.pairs[:, :, turned])
    before, after = network()(seen), network()(moved)
    torch.testing.assert_close(before.quality, after.quality)
    torch.testing.assert_close(before.memory[:, turned], after.memory)


def test_places_that_hold_nothing_are_not_seen() -> None:
    seen = some(held=2)
    memories, pairs = seen.memories.clone(), seen.pairs.clone()
    memories[:, 3:], pairs[:, :, 3:] = 100.0, 100.0
    before, after = network()(seen), network()(replace(seen, memories=memories, pairs=pairs))
    torch.testing.assert_close(before.quality, after.quality)
    assert (before.memory[:, 3:] < -1000).all()


def test_an_agent_survives_its_file_and_serves_one_model(tmp_path) -> None:
    model = load_model("nano", "cpu")
    agent = load_control_agent(packaged_agent(model))
    path = tmp_path / "a.safetensors"
    save_control_agent(agent, path)
    again = load_control_agent(path)
    assert again.record == agent.record
    same = zip(agent.network.state_dict().values(), again.network.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in same)
    other = random_model("sam2.1_hiera_tiny", "cpu", input_size=64)
    with pytest.raises(Sam2rlError, match="was learned for the model nano"):
        agent.on(other)
    with pytest.raises(Sam2rlError, match=r"No agent for .* is shipped"):
        packaged_agent(other)


def test_a_damaged_or_strange_file_is_one_sentence(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(Sam2rlError, match="does not exist"):
        load_control_agent(path)
    whole = packaged_agent(load_model("nano", "cpu")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Sam2rlError, match="is no agent for any video"):
        load_control_agent(path)
    path.write_bytes(whole.replace(b'\\"observation\\": 1', b'\\"observation\\": 9'))
    with pytest.raises(Sam2rlError, match="sees by version 9"):
        load_control_agent(path)
