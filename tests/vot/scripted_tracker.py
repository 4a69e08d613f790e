"""A tracker for tests that knows the ground truth and follows a script; started by the real toolkit.

Modes: `perfect` repeats the truth; `mixed` is right, shifted, elsewhere or silent by turns; `late-death` dies on its
third frame; `refuse` fails before the handshake; `slow` repeats the truth and takes its time.
"""

import sys
import time
from pathlib import Path

import numpy as np
import trax

from sam2rl_tracker.vot.sequences import Sequence, read_sequence
from sam2rl_tracker.vot.tracker import reply, to_mask


def main(mode: str) -> None:
    if mode == "refuse":
        raise RuntimeError("no model today")
    server = trax.Server([trax.Region.MASK], [trax.Image.PATH], multiobject=True)
    frame = 0
    objects: list[int] = []
    while (request := server.wait()).type != trax.TraxStatus.QUIT:
        path = Path(request.image["color"].path())
        sequence = read_sequence(path.parent.parent)
        frame = 0 if request.type == trax.TraxStatus.INITIALIZE else frame + 1
        objects = [] if frame == 0 else objects
        if mode == "late-death" and frame == 2:
            print("about to fail", file=sys.stderr)
            raise ValueError("the memory bank caught fire")
        if mode == "slow":
            time.sleep(0.5)
        for region, _ in request.objects or []:
            objects.append(_identify(sequence, to_mask(region, sequence.size), frame))
        masks = [sequence.masks(k)[frame] for k in objects]
        if mode == "mixed":
            masks = [_spoil(mask, frame + k) for mask, k in zip(masks, objects, strict=True)]
        server.status([reply(mask, None) for mask in masks])
    server.quit()


def _identify(sequence: Sequence, mask: np.ndarray, frame: int) -> int:
    return next(k for k in sequence.regions if np.array_equal(sequence.masks(k)[frame], mask))


def _spoil(mask: np.ndarray, turn: int) -> np.ndarray:
    if turn % 4 == 1:
        return np.roll(mask, (3, 5), axis=(0, 1))
    if turn % 4 == 2:
        return np.zeros_like(mask)
    if turn % 4 == 3:
        corner = np.zeros_like(mask)
        corner[:4, 1:6] = True
        return corner
    return mask
