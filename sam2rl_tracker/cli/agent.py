"""`sam2rl agent`: the trained agents of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sam2rl_tracker.cli.options import ON_OWN_TRUTH, Folder, print_json, say
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.agents.agent import Agent

agent_app = typer.Typer(no_args_is_help=True, help="Trained agents.")


@agent_app.command("list")
def agent_list(folder: Folder) -> None:
    """The agents of a workspace. Qualities are on the ground truth that the agents were trained on."""
    from sam2rl_tracker.agents.store import agents_folder, list_agents
    from sam2rl_tracker.vot.workspace import open_workspace

    heads = ("Agent", "Sequence", "Object", "Model", "Decides", "By", "Quality", "SAM 2's", "Steps")
    table = Table(title=f"Trained or searched {ON_OWN_TRUTH}")
    for head in heads:
        table.add_column(head, overflow="fold")
    found = list_agents(agents_folder(open_workspace(folder).folder))
    if not found.agents and not found.errors:
        raise Sam2rlError(f"{agents_folder(folder)} has no agents: `sam2rl train {folder}` makes them.")
    for agent in found.agents:
        about = {**agent.record, "control": agent.control}
        keys = ("sequence", "object", "model", "control", "method", "quality", "sam2_quality", "steps")
        values = [about.get(key, "-") for key in keys]
        if agent.fell_back:
            values[4] = "SAM 2's own rule"
        cells = (f"{value:.3f}" if isinstance(value, float) else escape(str(value)) for value in values)
        table.add_row(escape(agent.fingerprint), *cells)
    Console().print(table)
    _say_fallbacks(found.agents)
    for error in found.errors:
        say(str(error), style="red")
    if found.errors:
        raise typer.Exit(1)


def _say_fallbacks(agents: Sequence[Agent]) -> None:
    """Of the agents that know what SAM 2 has, how many fell back to its rule."""
    from sam2rl_tracker.evaluation.fallbacks import Fallbacks

    pairs = [(agent, agent.record.get("quality"), agent.record.get("sam2_quality")) for agent in agents]
    known = [(agent, ours - base) for agent, ours, base in pairs if isinstance(ours, float) and isinstance(base, float)]
    if known:
        say(Fallbacks.of([gain for _, gain in known], [[agent.fell_back] for agent, _ in known]).sentence())


@agent_app.command("info")
def agent_info(file: Path) -> None:
    """All that an agent file says about itself, as JSON."""
    from sam2rl_tracker.agents.files import load_agent

    agent = load_agent(file)
    shapes = {name: list(tensor.shape) for name, tensor in agent.tensors.items()}
    about = {"fingerprint": agent.fingerprint, "frames": agent.frames, "capacity": agent.capacity, "tensors": shapes}
    about |= {"control": agent.control, "pointers": agent.pointers, "fallback": agent.fell_back}
    print_json({**agent.record, **about})
