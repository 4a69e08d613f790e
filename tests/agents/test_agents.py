"""Agents as data: their actions, their files, how they are found, and how a policy is handed one."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from reference import Video, load_video
from safetensors import safe_open
from safetensors.numpy import save_file

from sam2rl_tracker import Tracker
from sam2rl_tracker.agents import Agent, find_agent, fingerprint, list_agents, load_agent, publish, save_agent
from sam2rl_tracker.agents.action import DISCARD, OLDEST, Space, act, make_room, output_of
from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies.sam2rl import Sam2Rl

FRAMES = 8
ACTIONS = np.array([1, 1, 0, 0, 1, 0])  # after frames 1 to 6


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()


@pytest.fixture
def agent(nano: Model, video: Video) -> Agent:
    key = fingerprint(video.images[0], video.truth[0], nano.hash)
    return Agent(key, FRAMES, 6, {"actions": ACTIONS}, {"method": "by hand", "quality": 0.5})


def banks(tracker: Tracker, video: Video) -> list[list[int]]:
    """What each frame attended to."""
    tracker.initialize(video.images[0], video.truth[:1])
    seen = []
    for image in video.images[1:FRAMES]:
        tracker.track(image)
        seen.append([frame for frame, _ in tracker.trace()[0]["memories"]])
    return seen


EXPECTED = [[0], [0, 1], [0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2, 5], [0, 1, 2, 5]]

# ------------------------------------------------------------------------------------------------------- actions


def test_actions_on_a_bank() -> None:
    assert act((), 1, 3, capacity=2) == (1,)
    assert act((1,), 2, DISCARD, capacity=2) == (1,)
    assert act((1, 2), 3, 1, capacity=2) == (2, 3)
    assert act((1, 2), 3, 2, capacity=2) == (1, 3)
    assert make_room((1, 2), 2, capacity=2) == (1,)
    assert make_room((1, 2), DISCARD, capacity=2) == (1, 2)
    assert make_room((1,), 1, capacity=2) == (1,)


def test_an_agent_acts_on_the_frames_it_knows() -> None:
    agent = Agent("", FRAMES, 6, {"actions": ACTIONS})
    assert [agent.action(t, []) for t in range(1, FRAMES)] == [*ACTIONS, DISCARD]
    with pytest.raises(Sam2rlError, match=r"^The agent was trained on a video of 8 frames.*`sam2rl train`\.$"):
        agent.action(FRAMES, [])


@pytest.mark.parametrize("control", ["memory", "output", "both"])
def test_actions_are_numbers_of_decisions(control: str) -> None:
    space = Space(control, capacity=2)
    assert space.size == {"memory": 3, "output": 4, "both": 12}[control]
    actions = np.arange(space.size)
    assert np.array_equal(space.join(space.parts(actions)), actions)
    assert [space.action(space.decision(action)) for action in actions] == actions.tolist()
    memories = {space.decision(action).memory for action in actions}
    assert memories == ({OLDEST} if control == "output" else {0, 1, 2})
    assert {space.decision(action).output for action in actions} == ({0} if control == "memory" else {0, 1, 2, 3})


def test_outputs_are_relative_to_sam2s_choice() -> None:
    ious = np.array([0.2, 0.9, 0.5])
    assert [output_of(ious, 3.0, output) for output in range(4)] == [(1, True), (1, False), (2, True), (0, True)]
    assert [output_of(ious, -3.0, output) for output in range(4)] == [(1, False), (1, True), (2, True), (0, True)]
    assert [output_of(ious[:1], 3.0, output)[0] for output in range(4)] == [0, 0, 0, 0]


def test_a_network_decides_each_part_for_itself() -> None:
    rng = np.random.default_rng(0)
    shapes = {"hidden.weight": (5, FRAMES), "hidden.bias": 5, "output.weight": (7 + 4, 5), "output.bias": 11}
    tensors = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    both = Agent("", FRAMES, 6, tensors, control="both")
    parts = {"memory": slice(7), "output": slice(7, 11)}

    def cut(part: slice) -> dict[str, np.ndarray]:
        return {name: tensor[part] if name.startswith("output") else tensor for name, tensor in tensors.items()}

    for t in range(1, FRAMES - 1):
        own = {control: Agent("", FRAMES, 6, cut(part), control=control) for control, part in parts.items()}
        assert both.action(t, []) == 4 * own["memory"].action(t, []) + own["output"].action(t, [])


def test_an_agent_that_plays_sam2s_rule_is_seen() -> None:
    ones = np.ones(8, dtype=int)
    assert Agent("", 10, 6, {"actions": ones}, pointers="recent").plays_sam2()
    assert not Agent("", 10, 6, {"actions": ones}).plays_sam2(), "its pointers are others"
    early = np.array([5, 1, 1, 1, 1, 1, 1, 1])  # any place does while there is a free one
    assert Agent("", 10, 6, {"actions": early}, pointers="recent").plays_sam2()
    assert not Agent("", 10, 6, {"actions": early[::-1]}, pointers="recent").plays_sam2()
    assert Agent("", 10, 6, {"actions": ones * 4}, pointers="recent", control="both").plays_sam2()
    assert not Agent("", 10, 6, {"actions": ones * 5}, pointers="recent", control="both").plays_sam2()


def test_an_extended_agent_is_written_and_read(tmp_path: Path) -> None:
    plain = Agent("a", FRAMES, 6, {"actions": ACTIONS})
    both = Agent("b", FRAMES, 6, {"actions": ACTIONS * 20}, {"fallback": True}, "both", "recent")
    files = [save_agent(agent, tmp_path) for agent in (plain, both)]
    read = [load_agent(file) for file in files]
    assert [(agent.control, agent.pointers) for agent in read] == [("memory", "stored"), ("both", "recent")]
    assert [agent.kind for agent in read] == ["memory", "both fallback"]
    assert read[1].tensors["actions"].tolist() == (ACTIONS * 20).tolist()
    # Versions before know nothing of the second kind, and must not play it.
    formats = []
    for file in files:
        with safe_open(file, framework="numpy") as opened:
            formats.append(json.loads(opened.metadata()["sam2rl"])["format"])
    assert formats == ["sam2rl-agent-1", "sam2rl-agent-2"]
    for actions, control in ((ACTIONS * 28, "both"), (ACTIONS, "all")):
        wrong = Agent("c", FRAMES, 6, {"actions": actions}, control=control)
        with pytest.raises(Sam2rlError, match="is damaged: its tensors do not fit"):
            load_agent(save_agent(wrong, tmp_path))


def test_the_agent_of_the_last_control_is_published(tmp_path: Path) -> None:
    """One that decides the output, too, is better by what it learns by heart: it does not stand in another's way."""
    both = Agent("a", FRAMES, 6, {"actions": ACTIONS}, {"quality": 0.9}, "both")
    better, worse = (Agent("a", FRAMES, 6, {"actions": ACTIONS}, {"quality": quality}) for quality in (0.6, 0.5))
    expected = [("both", 0.9), ("memory", 0.5), ("memory", 0.6), ("memory", 0.6), ("both", 0.9)]
    for agent, kept in zip((both, worse, better, worse, both), expected, strict=True):
        found = load_agent(publish(agent, tmp_path))
        assert (found.control, found.record["quality"]) == kept


# --------------------------------------------------------------------------------------------- handed to a policy


def test_a_policy_is_handed_an_agent_in_memory(nano: Model, video: Video, agent: Agent) -> None:
    assert banks(Tracker(nano, lambda: Sam2Rl(agent=agent)), video) == EXPECTED


def test_an_agent_in_memory_serves_a_changed_video(nano: Model, video: Video, agent: Agent) -> None:
    """Of which every second frame is there: the action after its frame t is that after frame 2 t."""
    tracker = Tracker(nano, lambda: Sam2Rl(agent=agent, stride=2))
    tracker.initialize(video.images[1], video.truth[1:2])
    for image in video.images[3:9:2]:
        tracker.track(image)
    assert [frame for frame, _ in tracker.trace()[0]["memories"]] == [0, 1]


def test_the_tracker_finds_the_agent(
    nano: Model, video: Video, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the policy's own parameter, which comes first, by the tracker's, and last by the environment's variable."""
    good, empty = tmp_path / "good", tmp_path / "empty"
    empty.mkdir()
    file = save_agent(agent, good)
    monkeypatch.setenv("SAM2RL_AGENTS", str(empty))
    assert banks(Tracker(nano, f"sam2rl:agents={good}", agents=empty), video) == EXPECTED
    assert banks(Tracker(nano, "sam2rl", agents=good), video) == EXPECTED
    assert banks(Tracker(nano, "sam2rl", agents=file), video) == EXPECTED
    with pytest.raises(Sam2rlError, match=f"^{empty} has no agent for this object"):
        banks(Tracker(nano, "sam2rl"), video)
    monkeypatch.setenv("SAM2RL_AGENTS", str(good))
    assert banks(Tracker(nano, "sam2rl"), video) == EXPECTED
    monkeypatch.delenv("SAM2RL_AGENTS")
    with pytest.raises(Sam2rlError, match=r"needs its agents: set SAM2RL_AGENTS.*sam2rl train WORKSPACE"):
        banks(Tracker(nano, "sam2rl"), video)
    banks(Tracker(nano, "recency"), video)  # a rule without agents does not ask for any


# ------------------------------------------------------------------------------------------------------- the store


def test_who_is_not_found(nano: Model, video: Video, agent: Agent, tmp_path: Path) -> None:
    image, mask = video.images[0], video.truth[0]
    file = save_agent(agent, tmp_path)
    assert find_agent(tmp_path, image, mask, nano, FRAMES).fingerprint == agent.fingerprint
    with pytest.raises(Sam2rlError, match=r"'nowhere' do not exist, seen from .*absolute path"):
        find_agent("nowhere", image, mask, nano, None)
    with pytest.raises(Sam2rlError, match=r"has no agent for this object .*`sam2rl train WORKSPACE` trains one\.$"):
        find_agent(tmp_path, image, video.truth[1], nano, None)
    with pytest.raises(Sam2rlError, match="trained on another video, object or model"):
        find_agent(file, video.images[1], mask, nano, None)
    with pytest.raises(Sam2rlError, match="was trained on 8 frames, but the video has 9: train again"):
        find_agent(file, image, mask, nano, FRAMES + 1)


def test_a_folder_is_listed_with_its_damaged_files(agent: Agent, tmp_path: Path) -> None:
    assert list_agents(tmp_path / "nowhere").agents == []
    save_agent(agent, tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"not safetensors")
    found = list_agents(tmp_path)
    assert [one.fingerprint for one in found.agents] == [agent.fingerprint]
    assert ["broken.safetensors is no agent file" in str(error) for error in found.errors] == [True]


def test_a_better_agent_stays(agent: Agent, tmp_path: Path) -> None:
    path = publish(agent, tmp_path)
    for quality, kept in ((0.4, 0.5), (0.6, 0.6)):
        record = {**agent.record, "quality": quality}
        publish(Agent(agent.fingerprint, FRAMES, 6, agent.tensors, record), tmp_path)
        assert load_agent(path).record["quality"] == kept
    other = Agent(agent.fingerprint, FRAMES, 6, agent.tensors, {"quality": 0.1, "subject": "another truth"})
    publish(other, tmp_path)
    assert load_agent(path).record["quality"] == 0.1


def test_of_agents_that_are_published_at_once_the_best_stays(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks at what is there before another has written: none may take it that there is nothing better."""

    def look(path: Path) -> Agent:
        try:
            return load_agent(path)
        finally:
            time.sleep(0.05)

    monkeypatch.setattr("sam2rl_tracker.agents.store.load_agent", look)
    qualities = [0.9, 0.5, 0.7, 0.3]
    agents = [Agent(agent.fingerprint, FRAMES, 6, agent.tensors, {"quality": quality}) for quality in qualities]
    with ThreadPoolExecutor(len(agents)) as pool:
        (path,) = set(pool.map(lambda one: publish(one, tmp_path / "agents"), agents))
    assert load_agent(path).record["quality"] == 0.9
    assert [file for file in path.parent.iterdir() if file.name != ".lock"] == [path]


def test_a_damaged_file_is_no_rival(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / f"{agent.fingerprint}.safetensors").write_bytes(b"damaged")
    assert load_agent(publish(agent, tmp_path)).record == agent.record


# --------------------------------------------------------------------------------------------------------- the file


def test_a_file_gives_back_what_was_saved(agent: Agent, tmp_path: Path) -> None:
    loaded = load_agent(save_agent(agent, tmp_path))
    assert (loaded.fingerprint, loaded.frames, loaded.capacity) == (agent.fingerprint, FRAMES, 6)
    assert loaded.record == agent.record
    assert np.array_equal(loaded.tensors["actions"], ACTIONS)


def test_files_that_are_no_agents(tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    about = {"format": "sam2rl-agent-1", "fingerprint": "0", "frames": FRAMES, "capacity": 6, "record": {}}
    actions = {"actions": np.zeros(FRAMES - 2, int)}
    with pytest.raises(Sam2rlError, match=r"does not exist: see `sam2rl agent list`\.$"):
        load_agent(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(Sam2rlError, match="is no agent file"):
        load_agent(path)
    save_file(actions, path)  # no agent's, but safetensors
    with pytest.raises(Sam2rlError, match="is no agent file"):
        load_agent(path)
    for change, message in (
        ({"record": [1]}, "its record is none"),
        ({"fingerprint": 1}, "its record is none"),
        ({"frames": float("inf")}, "is no agent file"),
        ({"frames": FRAMES + 1}, "its tensors do not fit its 9 frames"),
        ({"format": "9"}, "of format '9', expected 'sam2rl-agent-1'"),
    ):
        save_file(actions, path, metadata={"sam2rl": json.dumps({**about, **change})})
        with pytest.raises(Sam2rlError, match=message):
            load_agent(path)
    for tensors in ({"actions": np.array([9] * (FRAMES - 2))}, {"hidden.bias": np.zeros(3)}):
        save_file(tensors, path, metadata={"sam2rl": json.dumps(about)})
        with pytest.raises(Sam2rlError, match="its tensors do not fit"):
            load_agent(path)
