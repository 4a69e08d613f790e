"""The agents of `sam2rl learn --ablate` on generated videos that nothing was trained or chosen on.

python docs/ablation.py AGENT [--count 128] [--out docs/numbers/learn-ablation.json]
python docs/ablation.py AGENT --validated      # scores nothing: what the learning's own ablation.json says

AGENT is the file of a learning that was ablated, with its run's folder beside it. Goes on where it was ended. Scores
the refits that there are. Scenes are tracked in batches, as a learning validates them: last bits differ from one scene
at a time.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from sam2rl_tracker.learning import seeds
from sam2rl_tracker.learning.ablation import FILE, Compared, Variant, compare, controls, refits
from sam2rl_tracker.learning.gather import PART, Part
from sam2rl_tracker.learning.settings import LearnSettings
from sam2rl_tracker.learning.sources import Source
from sam2rl_tracker.runs.executors import HERE


def unseen(folder: Path, variants: list[Variant], count: int) -> list[Compared]:
    """The variants on scenes of their own."""
    part = Part("nano", "cpu", (Source("generated", seeds.TEST),), 0, LearnSettings(), None, folder)
    parts = [replace(part, first=k, out=folder / "ablation-unseen" / f"{k:06d}.json") for k in range(0, count, PART)]
    return compare(variants, parts, count, HERE, lambda text: print(text, flush=True))


def row(scored: dict[str, Any]) -> dict[str, Any]:
    """The numbers that are shown of a variant, from its JSON; its own baseline has no difference."""
    found = {"name": scored["name"], "quality": scored["quality"]}
    if scored["beside"] != scored["name"]:
        found["difference"] = [scored["difference"], *scored["interval"]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("agent", type=Path)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--validated", action="store_true", help="take the validation's numbers, score nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "numbers" / "learn-ablation.json")
    given = parser.parse_args()
    folder = given.agent.with_name(f"{given.agent.name}.run")
    if given.validated:
        scored = json.loads((folder / FILE).read_text())["validation"]
        videos = f"the {len(scored[0]['videos'])} videos of the validation"
    else:
        made = [one for one in refits(folder / "ablation") if one.agent.exists()]
        scored = [one.as_json() for one in unseen(folder, [*controls(given.agent), *made], given.count)]
        videos = f"{given.count} videos that nothing was trained or chosen on"
    document = json.loads(given.out.read_text()) if given.out.exists() else {}
    document["facts"] = {"videos": videos}
    document["rows"] = [row(one) for one in scored]
    given.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
