"""Searches on the objects of a workspace: their decisions as agents, beside the agent that was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam2rl_tracker.agents import Agent, agents_folder, fingerprint, save_agent
from sam2rl_tracker.engine import Model
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.training.search_object import search_object
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.vot.clips import objects_of
from sam2rl_tracker.vot.collect import collect
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread")


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
    assert sequences["clip"]["SAM2RL"].quality == pytest.approx(max(found[0].evaluated.values()), abs=1e-4)


@pytest.mark.slow
def test_a_search_passes_over_an_agent_of_the_shorter_video(nano: Model, clip: Clip, workspace: Workspace) -> None:
    task = Task(workspace.folder, "clip", 1, rows=8)
    key = fingerprint(clip.images[0], clip.masks[0], nano.hash)
    for frames in (len(clip) - 1, len(clip)):
        agent = Agent(key, frames, 6, {"actions": np.zeros(frames - 2, int)}, {"method": "by hand"})
        save_agent(agent, agents_folder(workspace.folder))
        found = search_object(task, 60).agent
        assert (found is not None) == (frames == len(clip))
    assert found is not None
    assert found > 0
