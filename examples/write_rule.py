"""Write a memory policy and run it beside SAM 2's own rule on a generated video.

The rule remembers a frame only if the model believes in its mask. To use it on the command line, run
`sam2rl track ... --policy write_rule:OnlySure:threshold=0.8` in this folder.

python examples/write_rule.py --threshold 0.8
"""

import argparse
from dataclasses import dataclass

import numpy as np

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import MemorySelection
from sam2rl_tracker.policies import PointerWindow, Policy, ranked
from sam2rl_tracker.synthetic import generate_scene


@dataclass
class OnlySure(Policy):
    """The prompted frame and the last six frames whose predicted IoU reached a threshold."""

    threshold: float = 0.8

    def store(self, t, records):
        """Keep what frame t left behind: its memory, its object pointer and its scores."""
        if t == 0:
            self.prompted, self.sure = records[0], []
            self.pointers = PointerWindow(records[0], self.pointer_span)
            return
        self.pointers.add(records[0])
        if records[0].predicted_iou >= self.threshold:
            self.sure = [*self.sure, records[0]][-6:]

    def select(self, t):
        """Say what the prediction of frame t attends to; the newest memory comes first."""
        return [MemorySelection(ranked([self.prompted], self.sure[::-1]), self.pointers.pairs(t), self.pointer_span)]

    def reachable(self):
        """Name every record that is still held: the tracker frees the others."""
        return {self.prompted, *self.sure, *self.pointers.recent}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the generated video")
    options = parser.parse_args()

    scene = generate_scene(options.seed, options.frames)
    for name, policy in {"SAM 2": "recency", "OnlySure": lambda: OnlySure(options.threshold)}.items():
        tracker = Tracker("nano", policy, num_frames=options.frames)
        tracker.initialize(scene.images[0], scene.labels[:1] == 1)
        ious = []
        for image, labels in zip(scene.images[1:], scene.labels[1:], strict=True):
            (mask,) = tracker.track(image)
            union = np.count_nonzero(mask | (labels == 1))
            ious.append(np.count_nonzero(mask & (labels == 1)) / union if union else 1.0)
        memories = [frame for frame, _ in tracker.trace()[0]["memories"]]
        print(f"{name}: mean IoU {np.mean(ious):.3f}; the last frame attended to frames {memories}")
