"""Teachers of the memory: who teaches, what a deviation costs, and that the agent learns it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sam2rl_tracker.agents.action import CAPACITY, DISCARD, OLDEST
from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.agents.files import save_agent
from sam2rl_tracker.agents.store import agents_folder
from sam2rl_tracker.control.agent import load_control_agent, packaged_agent
from sam2rl_tracker.control.decide import decide
from sam2rl_tracker.engine import Engine, load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.learning import gather
from sam2rl_tracker.learning import learn as learning
from sam2rl_tracker.learning.forks import Forks
from sam2rl_tracker.learning.gather import Part
from sam2rl_tracker.learning.learn import learn, teach_by_forks
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.samples import Samples, samples_of
from sam2rl_tracker.learning.settings import LearnSettings, parse_learn_settings
from sam2rl_tracker.learning.sources import Source
from sam2rl_tracker.learning.teachers import gather_lessons, lead, published_agent, search, teach_part
from sam2rl_tracker.learning.videos import encode
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.training.search import beam
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.vot.workspace import create, generate

FRAMES = 7


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model("nano", "cpu"))


@pytest.fixture(scope="module")
def clip() -> Clip:
    scene = generate_scene(32_000_003, FRAMES, 128)
    return Clip(list(scene.images), scene.labels == 1, np.ones(FRAMES, dtype=bool))


@pytest.fixture
def source(tmp_path) -> Source:
    generate(create(tmp_path / "train").folder, 1, 5, FRAMES)
    return Source(str(tmp_path / "train"))


def listed(*actions: int, clip: Clip | None = None) -> Agent:
    """An agent that plays a list: of any video, or of a clip's object."""
    key = fingerprint(clip.images[0], clip.masks[0], load_model("nano", "cpu").hash) if clip else ""
    return Agent(key, FRAMES, CAPACITY, {"actions": np.array(actions)})


def test_a_beam_goes_on_from_any_state(engine, clip) -> None:
    simulator = Simulator(engine, clip, rows=4)
    start = simulator.rollout([OLDEST, DISCARD])[-1]  # at frame 3; three decisions are left
    ways = product((DISCARD, OLDEST), repeat=3)  # all insert alike while the bank is not full
    best = max(simulator.quality(simulator.rollout([OLDEST, DISCARD, *way])[2:]) for way in ways)
    found = beam(simulator, 8, start=start)
    assert len(found.actions) == 3
    assert found.quality == pytest.approx(best)


def test_the_agent_leads_and_the_teacher_takes_over(engine, clip) -> None:
    network = load_control_agent(packaged_agent(engine.model)).on(engine.model)
    rollouts = Rollouts(engine, encode(engine, [clip]) * 2)
    led = lead(rollouts, network, 3)
    assert any(led[0])
    stored = len(rollouts.banks[0])
    teachers = [listed(*led[0], DISCARD, 4), listed(*led[0], DISCARD, DISCARD)]
    lessons = gather_lessons(rollouts, network, teachers, horizon=3)
    assert lessons.actions.tolist() == [[DISCARD, int(network(lessons.seen).memory[0].argmax())]] * 2  # after frame 4
    assert (lessons.held.sum(dim=1) == 1 + stored).all()
    assert [len(bank) for bank in rollouts.banks] == [stored + 1, stored]  # after frame 5


def test_actions_are_compared_where_the_agent_goes_on(engine, clip) -> None:
    """The mean rewards of the next frames, where the teacher's action, or the agent's, comes before the agent's own."""
    network = load_control_agent(packaged_agent(engine.model)).on(engine.model)
    rollouts = Rollouts(engine, encode(engine, [clip]))
    lessons = gather_lessons(rollouts, network, [listed(DISCARD, OLDEST, DISCARD, OLDEST, OLDEST)], horizon=2)
    assert lessons.actions.shape == (2, 2)  # after frames 1 and 4
    again = Rollouts(engine, encode(engine, [clip]))
    for action in lessons.actions[0].tolist():

        def follow(seen, state, action=action):
            decision = decide(network(seen.observation), seen)
            return replace(decision, action=torch.tensor([action])) if int(state.t) == 1 else decision

        again = Rollouts(engine, encode(engine, [clip]))
        rewards = [again.step(follow).reward for _ in range(3)][1:]
        place = lessons.actions[0].tolist().index(action)
        assert float(lessons.returns[0, place]) == pytest.approx(float(torch.cat(rewards).mean()), abs=1e-4)


def test_a_beam_teaches_from_where_the_agent_came_to(engine, clip) -> None:
    teacher = search(engine, clip, [DISCARD, OLDEST])
    actions = teacher.tensors["actions"].tolist()
    assert len(actions) == FRAMES - 2
    assert actions[:2] == [DISCARD, OLDEST]
    simulator = Simulator(engine, clip, rows=8)
    quality = simulator.quality(simulator.rollout(actions))
    assert quality > simulator.quality(simulator.rollout([DISCARD, OLDEST, DISCARD, DISCARD, DISCARD]))
    assert quality > simulator.quality(simulator.rollout([DISCARD, OLDEST, OLDEST, OLDEST, OLDEST]))


def test_a_workspaces_published_agent_teaches(engine, source, tmp_path, monkeypatch) -> None:
    part = Part(
        "nano", "cpu", (source,), 0, 2, LearnSettings(frames=FRAMES), packaged_agent(engine.model), tmp_path / "a"
    )
    beams = load_file(teach_part(part))["actions"][:, 0]
    action = OLDEST if beams[0] == DISCARD else DISCARD  # what no beam took there
    clip, folder = source.clip(0, FRAMES), agents_folder(Path(source.text))
    agent = listed(*[action] * (FRAMES - 2), clip=clip)
    save_agent(replace(agent, pointers="recent"), folder)  # found under other pointers: its actions mean another thing
    assert published_agent([source], clip, engine.model) is None
    save_agent(agent, folder)
    taught = load_file(teach_part(replace(part, out=tmp_path / "b")))["actions"][:, 0]
    assert (taught == action).all()
    assert taught[0] != beams[0]
    (folder / f"{agent.fingerprint}.safetensors").write_bytes(b"damaged")
    with pytest.raises(Sam2rlError, match="is no agent file"):
        published_agent([source], clip, engine.model)


def test_the_agent_learns_its_teachers_actions(engine, clip) -> None:
    network = load_control_agent(packaged_agent(engine.model)).on(engine.model)
    rollouts = Rollouts(engine, encode(engine, [clip]))
    samples = gather_samples(rollouts, network)
    seen = {name: value for name, value in vars(samples).items() if name not in ("ious", "present")}
    own = network(samples.seen).memory.argmax(dim=1)
    taught = 1 - own  # store what it drops, and the reverse
    returns = torch.tensor([0.6, 0.5]).repeat(len(own), 1)
    lessons = Forks(**seen, actions=torch.stack([taught, own], dim=1), returns=returns)

    def share() -> float:
        policy = network(samples.seen).memory.softmax(dim=1)
        return float(policy.gather(1, taught[:, None]).mean().detach())

    before = share()
    torch.manual_seed(0)
    teach_by_forks(network, lessons, samples, LearnSettings(), epochs=24)
    assert share() > before + 0.02


def gather_samples(rollouts: Rollouts, network) -> Samples:
    steps = []
    while not rollouts.done:
        steps.append(rollouts.step(lambda seen, state: decide(network(seen.observation), seen)))
    return samples_of(steps)


@pytest.mark.slow
def test_the_stage_leaves_its_file_and_is_chosen_among(tmp_path, source, monkeypatch) -> None:
    for module in (gather, learning):
        monkeypatch.setattr(module, "PART", 2)  # or it takes long
    validate = create(tmp_path / "val").folder
    generate(validate, 1, 77, FRAMES)
    changes = ["videos=2", "rounds=1", "rows=2", f"frames={FRAMES}", "epochs=1", "teachers=1", "horizon=3", "forks=0"]
    changes.append("iterations=0")
    out = tmp_path / "agent.safetensors"

    def run(*more: str):
        settings = parse_learn_settings([*changes, *more])
        return learn([source.text], str(validate), out, "nano", "cpu", settings)

    result = run()
    assert set(result.validation) == {"round 1", "teachers"}
    stage = tmp_path / "agent.safetensors.run" / "teachers.safetensors"
    record = load_control_agent(stage).record
    assert record["samples"]["teachers"] > 0
    before = stage.read_bytes()
    stage.unlink()  # as if it had been ended there
    assert run().validation == result.validation
    assert stage.read_bytes() == before
    with pytest.raises(Sam2rlError, match="was begun with teachers=1"):
        run("teachers=2")
