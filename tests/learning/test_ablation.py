"""The ablation: what is left out is not seen, and the comparison goes on where it was ended."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
import torch

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.agent import load_control_agent, packaged_agent, save_control_agent
from sam2rl_tracker.control.looks import look_parts
from sam2rl_tracker.control.network import ControlNetwork, Judgement
from sam2rl_tracker.control.observation import CANDIDATE, FRAME, GROUPS, LOOK, MEMORY, PAIR, Group, Observation
from sam2rl_tracker.engine import load_model
from sam2rl_tracker.learning.ablation import refits
from sam2rl_tracker.learning.fit import leave_out
from sam2rl_tracker.learning.learn import learn
from sam2rl_tracker.learning.settings import parse_learn_settings
from sam2rl_tracker.vot.workspace import create, generate

PARTS = look_parts(4, (2, 3))
NAMES = {"candidates": CANDIDATE, "frame": FRAME, "memories": MEMORY, "pairs": PAIR}
FRAMES = 8


def some(rows: int = 5) -> Observation:
    torch.manual_seed(0)
    return Observation(
        candidates=torch.randn(rows, 3, len(CANDIDATE)),
        looks=torch.randn(rows, 3, PARTS.size),
        past=torch.randn(rows, 3, PARTS.size),
        frame=torch.randn(rows, len(FRAME)),
        memories=torch.randn(rows, 1 + CAPACITY, len(MEMORY)),
        pairs=torch.rand(rows, 3, 1 + CAPACITY, len(PAIR)),
        held=(torch.arange(1 + CAPACITY) <= 4).expand(rows, -1),
    )


def blind_to(group: str) -> ControlNetwork:
    torch.manual_seed(1)
    network = ControlNetwork(PARTS.size, width=16).eval()
    if group:
        leave_out(network, group, PARTS)
    return network


def changed(seen: Observation, group: Group) -> Observation:
    """The same but for all that carries a kind of information."""
    other = replace(seen, **{name: value.clone() for name, value in vars(seen).items()})
    for part, names in NAMES.items():
        for name in getattr(group, part):
            getattr(other, part)[..., names.index(name)] += torch.randn(1)
    for name in group.looks:
        for look in (other.looks, other.past):
            look[..., getattr(PARTS, name)] += torch.randn(1)
    return other


def same(one: Judgement, other: Judgement) -> bool:
    return all(torch.equal(value, getattr(other, name)) for name, value in vars(one).items())


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_left_out_is_not_seen(group: str) -> None:
    seen = some()
    other = changed(seen, GROUPS[group])
    assert same(blind_to(group)(seen), blind_to(group)(other))
    assert not same(blind_to("")(seen), blind_to("")(other))
    rest = next(one for one in GROUPS if one not in (group, "features", "looks"))
    assert not same(blind_to(group)(seen), blind_to(group)(changed(seen, GROUPS[rest])))


def test_the_groups_hold_everything_that_is_seen() -> None:
    for part, names in {**NAMES, "looks": LOOK}.items():
        assert {name for group in GROUPS.values() for name in getattr(group, part)} == set(names), part
    parts = sorted((getattr(PARTS, name) for name in LOOK), key=lambda part: part.start)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert {one.name for one in fields(PARTS)} == set(LOOK)


def test_an_agent_stays_blind_in_its_file_and_earlier_files_compute_as_before(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    agent = load_control_agent(packaged_agent(load_model("nano", "cpu")))
    assert torch.equal(agent.network.scale_pair(torch.tensor([-1.0, 0.3])), torch.tensor([-1.0, 0.3]))
    save_control_agent(replace(agent, network=blind_to("pointers")), path)
    seen = some()
    network = load_control_agent(path).network
    assert same(network(seen), network(changed(seen, GROUPS["pointers"])))


@pytest.mark.slow
def test_an_ablation_goes_on_and_compares(tmp_path) -> None:
    workspace = create(tmp_path / "val").folder
    generate(workspace, 1, 77, FRAMES)
    changes = ["videos=16", "rounds=1", "rows=2", f"frames={FRAMES}", "epochs=1", "forks=0", "iterations=0"]
    settings = parse_learn_settings(changes)
    out, folder = tmp_path / "a.safetensors", tmp_path / "a.safetensors.run"

    def run(end: str = ""):
        def report(text: str) -> None:
            if end and text.startswith(end):
                raise KeyboardInterrupt

        return learn(["generated"], str(workspace), out, "nano", "cpu", settings, report=report, ablation=True)

    with pytest.raises(KeyboardInterrupt):
        run("ablation, without area")
    made = {path: path.stat().st_mtime_ns for path in (folder / "ablation").iterdir()}
    assert len(made) == 3  # two that see everything, and one
    result = run()
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    rows = {row.variant.name: row for row in result.ablation}
    assert set(rows) == {*(one.name for one in refits(folder)), "control=both", "control=memory", "control=output"}
    written = json.loads((folder / "ablation.json").read_text())["validation"]
    assert [row["videos"] for row in written] == [list(row.videos) for row in result.ablation]
    assert rows["everything"].is_baseline
    assert rows["without motion"].difference == pytest.approx(
        rows["without motion"].quality - rows["everything"].quality
    )
    refit = load_control_agent(folder / "ablation" / "everything.safetensors").network.state_dict()
    first = load_control_agent(folder / "round-1.safetensors").network.state_dict()
    assert all(torch.equal(refit[name], value) for name, value in first.items())  # on the very frames
    blind = load_control_agent(folder / "ablation" / "without-age.safetensors")
    assert "memories.rank" in blind.record["blind_to"]
    assert run().as_json()["ablation"] == result.as_json()["ablation"]
