"""Draw the pictures of docs/policies/: what each rule attends to on one reference video, beside SAM 2.

python docs/draw_policies.py [SCENE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sam2rl_tracker import Tracker
from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.agents.files import save_agent
from sam2rl_tracker.engine import Engine, Model, load_model, one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.media.frames import open_frames
from sam2rl_tracker.media.masks import read_index_mask
from sam2rl_tracker.report.bank import plot_banks
from sam2rl_tracker.training.search import greedy
from sam2rl_tracker.training.simulator import Simulator

DOCS = Path(__file__).resolve().parent
VIDEOS = DOCS.parent / "tests" / "data"
NAMES = {
    "samurai": "SAMURAI",
    "dam4sam": "DAM4SAM",
    "sam2long": "SAM2Long",
    "mosam": "MoSAM",
    "sam2rl": "SAM2RL (found on this truth)",
}


def read_clip(scene: str) -> Clip:
    images = [frame.image for frame in open_frames(VIDEOS / scene / "color")]
    masks = np.stack([read_index_mask(path) == 1 for path in sorted((VIDEOS / scene / "masks").glob("*.png"))])
    return Clip(images, masks, np.ones(len(images), dtype=bool))


def trace(model: Model, clip: Clip, policy: str) -> list[dict[str, Any]]:
    tracker = Tracker(model, policy, num_frames=len(clip))
    tracker.initialize(clip.images[0], clip.masks[:1])
    lines = tracker.trace()
    for image in clip.images[1:]:
        tracker.track(image)
        lines += tracker.trace()
    return lines


def searched_agent(model: Model, clip: Clip, folder: str) -> str:
    """An agent for the clip, by greedy search: it need not be a good one to be drawn."""
    simulator = Simulator(Engine(model), clip)
    actions = np.array(greedy(simulator).actions)
    key = fingerprint(clip.images[0], clip.masks[0], model.hash)
    return str(save_agent(Agent(key, len(clip), simulator.capacity, {"actions": actions}), folder))


@one_thread()
def main(scene: str = "scene-930108") -> None:
    model, clip = load_model("nano", "cpu"), read_clip(scene)
    pictures = DOCS / "images" / "policies"
    baseline = {"SAM2": trace(model, clip, "recency")}
    plot_banks(baseline, pictures / "recency.png", scene)
    with TemporaryDirectory() as folder:
        specs = {**{name: name for name in NAMES}, "sam2rl": f"sam2rl:agents={searched_agent(model, clip, folder)}"}
        for name, spec in specs.items():
            plot_banks({**baseline, NAMES[name]: trace(model, clip, spec)}, pictures / f"{name}.png", scene)


if __name__ == "__main__":
    main(*sys.argv[1:])
