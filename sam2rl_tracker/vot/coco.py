"""Masks in the compressed run lengths of COCO, in which SA-V stores its annotations.

Equal to pycocotools on what it writes, which is tested. Of a damaged entry pycocotools returns pixels that it never set
or ends the process; here it is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2rl_tracker.vot.regions import Mask


def decode_coco(rle: dict[str, Any]) -> Mask:
    """Decode a COCO mask.

    Runs alternate between background and object, column by column, background first. In the compressed form a run is
    written in base 32 with the low digits first; each character carries a digit (bits 0-4, the last one signed) and
    whether more follow (bit 5), shifted by 48 into printable ASCII. From the third run on, the difference to the run
    two before is stored.

    Args:
        rle: {"size": [height, width], "counts": compressed string, bytes, or a plain list of runs}.

    Returns:
        bool [height, width].

    Raises:
        ValueError: The entry is damaged, or its runs do not add up to its size.
    """
    try:
        height, width = (int(value) for value in rle["size"])
        counts = rle["counts"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"an RLE mask needs the fields size and counts ({error})") from error
    runs = list(counts) if isinstance(counts, list) else _decompress(counts)
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"runs of {sum(runs)} pixels do not fill {width}x{height}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _decompress(counts: str | bytes) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for byte in counts.encode("ascii") if isinstance(counts, str) else counts:
        digit = byte - 48
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            continue
        if digit & 0x10:
            value -= 1 << shift  # the sign of the last digit extends to all higher bits
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the last run of a compressed mask is cut off")
    return runs
