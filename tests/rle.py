"""Masks as COCO stores them, for tests of what reads them."""

import numpy as np


def compress(mask: np.ndarray) -> dict:
    """Encode a mask, bool [h, w]; the inverse of `decode_coco`, written from the format's description."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(changes, prepend=0, append=flat.size).tolist()
    runs = [0, *runs] if flat[0] else runs
    text = ""
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        while True:
            digit, value = value & 31, value >> 5
            done = value == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if done else 32))
            if done:
                break
    return {"size": list(mask.shape), "counts": text}
