"""How rules and the learned agent do on generated videos that nothing was trained or chosen on.

python docs/unseen.py score OUT.jsonl --policies recency,learned [--first 8000000] [--count 256] [--preset default]
    track scenes with each policy; a line per scene and policy; goes on where it was ended; several may run side by side
python docs/unseen.py calibrate OUT.json [--count 64]
    how often the object was there beside how often the agent said so, and expected beside true IoU
python docs/unseen.py table NAME.jsonl... [--calibration OUT.json] [--out docs/numbers/unseen.json]
    means, and differences to SAM 2 and of the agent to each rule, with paired 95 % intervals over videos
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam2rl_tracker.control.agent import load_control_agent, packaged_agent
from sam2rl_tracker.control.decide import decide
from sam2rl_tracker.engine import Engine, load_model, one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.intervals import bootstrap_interval
from sam2rl_tracker.evaluation.measures import measure_object
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.videos import encode
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.tracking.tracker import Tracker

FRAMES, SIZE = 80, 128
BINS = 10


@one_thread()
def score(out: Path, policies: list[str], first: int, count: int, preset: str, objects: int) -> None:
    model = load_model("nano", "cpu")
    done = {(line["seed"], line["policy"]) for line in _lines(out)}
    for seed in range(first, first + count):
        scene = generate_scene(seed, FRAMES, SIZE, objects, preset=preset)
        truth = scene.labels[None] == np.arange(1, objects + 1)[:, None, None, None]
        for policy in policies:
            if (seed, policy) in done:
                continue
            tracker = Tracker(model, policy, num_frames=FRAMES)
            masks = [tracker.initialize(scene.images[0], truth[:, 0])]
            masks += [tracker.track(image) for image in scene.images[1:]]
            found = np.stack(masks, axis=1)
            quality = [measure_object(one, true).quality for one, true in zip(found, truth, strict=True)]
            line = {"seed": seed, "policy": policy, "preset": preset, "objects": objects, "quality": quality}
            with out.open("a") as file:
                file.write(json.dumps(line) + "\n")


@one_thread()
def calibrate(out: Path, first: int, count: int) -> None:
    model = load_model("nano", "cpu")
    engine, network = Engine(model), load_control_agent(packaged_agent(model)).on(model)
    said, there, expected, true = [], [], [], []
    for start in range(first, first + count, 16):
        videos = []
        for seed in range(start, min(start + 16, first + count)):
            scene = generate_scene(seed, FRAMES, SIZE)
            videos += encode(engine, [Clip(list(scene.images), scene.labels == 1, np.ones(FRAMES, dtype=bool))])
        rollouts = Rollouts(engine, videos)
        while not rollouts.done:
            step = rollouts.step(lambda seen, state: decide(network(seen.observation), seen))
            rows = torch.arange(len(videos))
            said.append(step.decision.presence)
            there.append(step.present)
            seen = step.present > 0.5
            expected.append(step.decision.quality[seen])
            true.append(step.ious[rows, step.decision.picks][seen])
    curves = {
        "presence": _reliability(torch.cat(said).numpy(), torch.cat(there).numpy()),
        "quality": _reliability(torch.cat(expected).numpy(), torch.cat(true).numpy()),
        "videos": count,
        "first": first,
    }
    out.write_text(json.dumps(curves, indent=2))


def _reliability(said: np.ndarray, true: np.ndarray) -> list[dict[str, float]]:
    """Per tenth of what was said: its mean, the mean of what was true, and how many there are."""
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    rows = []
    for index in range(BINS):
        inside = bins == index
        if inside.any():
            values = {"said": float(said[inside].mean()), "true": float(true[inside].mean())}
            rows.append({**values, "frames": int(inside.sum())})
    return rows


def table(files: list[Path], out: Path, calibration: Path | None) -> None:
    scores: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for path in files:
        for line in _lines(path):
            group = line["preset"] if line["objects"] == 1 else f"{line['preset']}, {line['objects']} objects"
            scores[group][line["policy"]][line["seed"]] = float(np.mean(line["quality"]))
    document = json.loads(out.read_text()) if out.exists() else {}
    document["rows"] = [{"group": group, **_compare(policies)} for group, policies in scores.items()]
    if calibration is not None:
        document["calibration"] = json.loads(calibration.read_text())
    out.write_text(json.dumps(document, indent=2) + "\n")


def _compare(policies: dict[str, dict[int, float]]) -> dict[str, Any]:
    rows = []
    for policy, own in policies.items():
        row: dict[str, Any] = {"policy": policy, "videos": len(own), "quality": float(np.mean(list(own.values())))}
        for name, other, sign in (("to_sam2", "recency", 1), ("of_learned", "learned", -1)):
            if other in policies and other != policy:
                both = sorted(own.keys() & policies[other].keys())  # the same videos, in pairs
                difference = np.array([sign * (own[seed] - policies[other][seed]) for seed in both])
                row[name] = [float(difference.mean()), *bootstrap_interval(difference)]
        rows.append(row)
    seeds = sorted(set().union(*policies.values()))
    return {"videos": len(seeds), "first": seeds[0], "last": seeds[-1], "policies": rows}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["score", "calibrate", "table"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--policies", default="recency,learned")
    parser.add_argument("--first", type=int, default=8_000_000)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "numbers" / "unseen.json")
    parser.add_argument("--calibration", type=Path, help="of `calibrate`, to enter beside")
    given = parser.parse_args()
    if given.what == "score":
        score(given.files[0], given.policies.split(","), given.first, given.count, given.preset, given.objects)
    elif given.what == "calibrate":
        calibrate(given.files[0], given.first, given.count)
    else:
        table(given.files, given.out, given.calibration)


if __name__ == "__main__":
    main()
