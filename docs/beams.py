"""Whether beams that take fewer actions find as much per prediction: the quality that ladders of beams reach.

python docs/beams.py FIRST_SEED COUNT

Generated videos of 60 frames; none may be one that anything is reported on. Prints one JSON document: the mean over
videos of the quality, of the steps asked for, and of the states predicted.
"""

from __future__ import annotations

import json
import statistics
import sys

import numpy as np

from sam2rl_tracker.agents.action import DISCARD, OLDEST
from sam2rl_tracker.engine import Engine, load_model, one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.training.search import beam_ladder
from sam2rl_tracker.training.simulator import Simulator, State

FRAMES = 60


class Narrow(Simulator):
    """Offers only some actions once the bank is full."""

    allowed: frozenset[int] | None = None

    def successors(self, state: State) -> list[int]:
        every = super().successors(state)
        full = len(self.bank(state)) == self.capacity
        return [action for action in every if action in self.allowed] if self.allowed and full else every


@one_thread()
def main() -> None:
    first, count = (int(word) for word in sys.argv[1:])
    model = load_model("nano", "cpu")
    newest = OLDEST + 5
    ways = {
        "all actions, width 16": (16, None),
        "all actions, width 8": (8, None),
        "discard, oldest, newest, width 16": (16, frozenset({DISCARD, OLDEST, newest})),
        "discard, oldest, newest, width 32": (32, frozenset({DISCARD, OLDEST, newest})),
        "discard, oldest, width 32": (32, frozenset({DISCARD, OLDEST})),
        "discard, oldest, two newest, width 24": (24, frozenset({DISCARD, OLDEST, newest - 1, newest})),
    }
    found: dict[str, list[tuple[float, int, int]]] = {way: [] for way in ways}
    for seed in range(first, first + count):
        scene = generate_scene(seed=seed, frames=FRAMES)
        clip = Clip(list(scene.images), scene.labels == 1, np.ones(FRAMES, dtype=bool))
        for way, (width, allowed) in ways.items():
            simulator = Narrow(Engine(model), clip, rows=8)
            simulator.allowed = allowed
            best = beam_ladder(simulator, width)
            found[way].append((best.quality, best.steps, simulator.counters.evaluated))
            print(f"{seed}: {way}: {best.quality:.4f}", file=sys.stderr)
    lines = []
    for way, each in found.items():
        quality, steps, predicted = (statistics.mean(column) for column in zip(*each, strict=True))
        lines.append({"way": way, "quality": round(quality, 4), "steps": round(steps), "predicted": round(predicted)})
    print(json.dumps(lines, indent=2))


if __name__ == "__main__":
    main()
