"""Where the golden masks were made, which says how equal this machine's masks must be to them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import torch
from reference import DATA

from sam2rl_tracker.runs.provenance import processor


@dataclass(frozen=True)
class Origin:
    """What a golden set was made on, and what is asserted there and elsewhere.

    Other processors, and other versions of PyTorch and its libraries, add up products in another order: a logit next
    to 0 then changes its sign, here and there. `frames_elsewhere` and `pixels_elsewhere` bound what that does to one
    video of 80 x 16384 pixels. They are the most that was seen on an Intel Xeon over twelve videos together, so twelve
    times that of a mean video (the worst single one was 4 frames and 4 pixels); a rule with one wrong parameter is
    mostly hundreds of pixels away, and `decisions.py` finds those that are not.
    """

    processor: str  # its name as Linux tells it, whole: what else is an EPYC may compute otherwise
    pytorch: str
    equal_with: tuple[str, ...]  # versions of PyTorch that gave these masks there, pixel for pixel
    frames_elsewhere: int
    pixels_elsewhere: int
    also: tuple[str, ...] = ()  # other processors that gave these masks, pixel for pixel

    @property
    def is_here(self) -> bool:
        """Whether this machine is known to give these masks."""
        version = any(torch.__version__.startswith(f"{known}.") for known in self.equal_with)
        return processor() in (self.processor, *self.also) and version and not arithmetic()

    @property
    def allowed(self) -> tuple[int, int]:
        """Frames and pixels of a video that may differ here."""
        return (0, 0) if self.is_here else (self.frames_elsewhere, self.pixels_elsewhere)

    def __str__(self) -> str:
        frames, pixels = self.allowed
        amount = "0 pixels" if self.is_here else f"at most {frames} frames and {pixels} pixels a video"
        return f"{amount} asserted: made on {self.processor} with PyTorch {self.pytorch}; this is {here()}"


def origins() -> dict[str, Origin]:
    """Of every golden set."""
    return {
        golden: Origin(
            entry["processor"],
            entry["pytorch"],
            tuple(entry["equal_with"]),
            entry["frames_elsewhere"],
            entry["pixels_elsewhere"],
            tuple(entry.get("also", ())),
        )
        for entry in _read()["origins"]
        for golden in entry["sets"]
    }


def untraced() -> dict[str, str]:
    """Why there is no trace of a rule's decisions: {"golden set/video": reason}."""
    return _read()["untraced"]


def _read() -> dict:
    return json.loads((DATA / "golden.json").read_text())


def arithmetic() -> dict[str, str]:
    """Environment variables that choose instructions, and with them last bits."""
    prefixes = ("ATEN_", "ONEDNN_", "DNNL_", "MKL_")
    return {key: value for key, value in sorted(os.environ.items()) if key.startswith(prefixes) and "THREAD" not in key}


def here() -> str:
    """This machine, as far as last bits depend on it."""
    settings = "".join(f", {key}={value}" for key, value in arithmetic().items())
    return f"{processor()} with PyTorch {torch.__version__}{settings}"
