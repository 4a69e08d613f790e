"""Read a trace: what the tracker remembered, and how sure it was.

sam2rl track VIDEO --init MASK.png --trace bank.jsonl
python examples/read_trace.py bank.jsonl
"""

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("trace", type=Path)
options = parser.parse_args()

objects = defaultdict(list)  # a line per frame and object, frames in order
for text in options.trace.read_text().splitlines():
    line = json.loads(text)
    objects[line["object"]].append(line)

for number, lines in objects.items():
    tracked = lines[1:]  # the first is the prompted frame, which attends to nothing
    absent = [line["frame"] for line in tracked if line["object_score"] <= 0]
    used = Counter(frame for line in tracked for frame, _slot in line["memories"])
    age = sum(line["frame"] - min(frame for frame, _ in line["memories"][1:] or [[0, 0]]) for line in tracked)
    corrected = [line["frame"] for line in lines if line.get("prompt") == "correction"]  # old traces do not tell
    print(f"object {number}: {len(lines)} frames" + (f", corrected on {corrected}" if corrected else ""))
    print(f"  the model took it for absent on {len(absent)} frames: {absent}")
    print(f"  memories stored at last: {[line['frame'] for line in lines if line['stored']]}")
    print(f"  attended to most often: {[frame for frame, _ in used.most_common(7)]}")
    print(f"  its oldest memory beside the prompted frame is {age / max(1, len(tracked)):.1f} frames old on average")
    for line in sorted(tracked, key=lambda line: line["predicted_iou"])[:3]:
        memories = [frame for frame, _ in line["memories"]]
        print(f"  unsure on frame {line['frame']}: predicted IoU {line['predicted_iou']:.2f}, attended to {memories}")
