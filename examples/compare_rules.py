"""Compare two memory policies on a folder with `color/` (frames) and `masks/` (PNGs: pixel value k = object k).

python examples/compare_rules.py VIDEO                          # SAM 2's rule and DAM4SAM's, object 1
python examples/compare_rules.py VIDEO samurai stride --object 2
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import load_model

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("video", type=Path, help="folder with color/ and masks/, whose files sort by name")
parser.add_argument("policies", nargs="*", default=["recency", "dam4sam"], help="two or more of --list-policies")
parser.add_argument("--object", type=int, default=1, help="which object of the masks; it must be on the first one")
parser.add_argument("--model", default="nano")
parser.add_argument("--device", help="cpu, cuda or mps; by default the best there is")
options = parser.parse_args()

images = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((options.video / "color").iterdir())]
truth = [np.asarray(Image.open(path)) == options.object for path in sorted((options.video / "masks").iterdir())]


def overlap(mask: np.ndarray, true: np.ndarray) -> float:
    """IoU; 1 where the object is absent and nothing is found."""
    union = np.count_nonzero(mask | true)
    return np.count_nonzero(mask & true) / union if union else 1.0


model = load_model(options.model, options.device)  # the policies share it
ious = {}
for policy in options.policies:
    tracker = Tracker(model, policy, num_frames=len(images))
    tracker.initialize(images[0], truth[0][None])
    ious[policy] = np.array(
        [overlap(tracker.track(image)[0], true) for image, true in zip(images[1:], truth[1:], strict=True)]
    )
    print(f"{policy}: mean IoU {ious[policy].mean():.3f}, {np.count_nonzero(ious[policy] < 0.1)} frames lost")

first, *others = options.policies
for policy in others:
    difference = ious[policy] - ious[first]
    best, worst = difference.argmax() + 1, difference.argmin() + 1
    print(f"{policy} less {first}: {difference.max():+.3f} on frame {best}, {difference.min():+.3f} on frame {worst}")
