"""Draw the pictures of docs/policies/: what each rule attends to on one reference video, beside SAM 2.

python docs/draw_policies.py [SCENE]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from sam2rl_tracker import Tracker
from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.engine import Engine, Model, load_model, one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.evaluate import trace_clip
from sam2rl_tracker.media.frames import open_frames
from sam2rl_tracker.media.masks import read_index_mask
from sam2rl_tracker.policies import Policy
from sam2rl_tracker.policies.sam2rl import Sam2Rl
from sam2rl_tracker.report.bank_plot import plot_banks
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.training.search import greedy
from sam2rl_tracker.training.simulator import Simulator

DOCS = Path(__file__).resolve().parent
VIDEOS = DOCS.parent / "tests" / "data"
NAMES = {
    "samurai": "SAMURAI",
    "dam4sam": "DAM4SAM",
    "sam2long": "SAM2Long",
    "sam3": "SAM 3's memory rule (on SAM 2)",
    "d4sm": "D4SM",
    "him2sam": "HiM2SAM without point tracking",
    "samite": "SAMITE",
    "mosam": "MoSAM-style",
    "sam2rl": "SAM2RL (found on this truth)",
}


def read_clip(scene: str) -> Clip:
    images = [frame.image for frame in open_frames(VIDEOS / scene / "color")]
    masks = np.stack([read_index_mask(path) == 1 for path in sorted((VIDEOS / scene / "masks").glob("*.png"))])
    return Clip(images, masks, np.ones(len(images), dtype=bool))


def searched_agent(model: Model, clip: Clip) -> Agent:
    """An agent for the clip, by greedy search: it need not be a good one to be drawn."""
    simulator = Simulator(Engine(model), clip)
    actions = np.array(greedy(simulator).actions)
    key = fingerprint(clip.images[0], clip.masks[0], model.hash)
    return Agent(key, len(clip), simulator.capacity, {"actions": actions})


@one_thread()
def main(scene: str = "scene-930108") -> None:
    model, clip = load_model("nano", "cpu"), read_clip(scene)
    pictures = DOCS / "images" / "policies"

    def trace(policy: str | Callable[[], Policy]) -> list[TraceLine]:
        return trace_clip(Tracker(model, policy, num_frames=len(clip)), clip)

    reference = {"SAM2": trace("recency")}
    plot_banks(reference, pictures / "recency.png", scene)
    policies = {**{name: name for name in NAMES}, "sam2rl": partial(Sam2Rl, agent=searched_agent(model, clip))}
    for name, policy in policies.items():
        plot_banks({**reference, NAMES[name]: trace(policy)}, pictures / f"{name}.png", scene)


if __name__ == "__main__":
    main(*sys.argv[1:])
