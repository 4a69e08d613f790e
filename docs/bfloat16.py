"""What bfloat16 costs: masks and quality of SAM 2's rule on generated videos, beside float32.

python docs/bfloat16.py                   nano, 16 videos of 80 frames
python docs/bfloat16.py --model FOLDER    another model

Prints one JSON document. Videos are those of `sam2rl model score`.
"""

from __future__ import annotations

import argparse
import json
from statistics import mean

import numpy as np

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Arithmetic, Model, load_model, one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.measures import quality
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.experiments.score import SEED
from sam2rl_tracker.runs.provenance import Provenance
from sam2rl_tracker.synthetic import generate_scene


@one_thread()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--frames", type=int, default=80)
    asked = parser.parse_args()
    model = load_model(asked.model, asked.device)
    qualities: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    ious, differing = [], []
    for seed in range(SEED, SEED + asked.count):
        scene = generate_scene(seed, frames=asked.frames, size=model.network.image_size)
        clip = Clip(list(scene.images), scene.labels == 1, np.ones(asked.frames, dtype=bool))
        masks = {dtype: _track(model, clip, dtype) for dtype in qualities}
        for dtype, found in masks.items():
            qualities[dtype].append(quality(frame_overlaps(found, clip.masks, clip.known, None)))
        a, b = masks.values()
        differing.append(float((a != b)[1:].mean()))
        either = (a | b).sum(axis=(1, 2))[1:]
        common = (a & b).sum(axis=(1, 2))[1:]
        ious += [float(both / one) for both, one in zip(common, either, strict=True) if one]
    gains = [b - a for a, b in zip(*qualities.values(), strict=True)]
    document = {
        "quality": {dtype: round(mean(values), 4) for dtype, values in qualities.items()},
        "largest_difference_of_a_video": round(max(gains, key=abs), 4),
        "differing_pixels": round(mean(differing), 6),
        "mask_iou": {"mean": round(mean(ious), 4), "median": round(float(np.median(ious)), 4)},
        "frames_above_0.9": round(mean(value > 0.9 for value in ious), 4),
        "videos": asked.count,
        "frames": asked.frames,
        "settings": Provenance.of(model, Arithmetic("bfloat16")).as_json(SEED),
    }
    print(json.dumps(document, indent=2))


def _track(model: Model, clip: Clip, dtype: str) -> np.ndarray:
    """Masks of all frames, bool [T, h, w]."""
    tracker = Tracker(model, dtype=dtype)
    masks = [tracker.initialize(clip.images[0], clip.masks[:1])[0]]
    return np.stack([*masks, *(tracker.track(image)[0] for image in clip.images[1:])])


if __name__ == "__main__":
    main()
