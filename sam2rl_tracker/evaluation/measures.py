"""The VOTS measures on arrays: quality, accuracy, robustness and the three auxiliary ones.

Equal to what VOT toolkit 0.9.0 computes on the same masks with the project's stack (`burnin: 0`,
`ignore_unknown: False`, `weighted: False`, and `filter_tag: evaluation`, which leaves out the prompted frame).

One object in one video is given as boolean masks [T, h, w]; frame 0 is the prompted frame and is never scored. A scored
frame of known truth is one of five:

    T  visible, IoU > 0 (tracked)          N  absent, predicted empty (noticed)
    F  visible, predicted elsewhere        H  absent, something predicted (hallucinated)
    M  visible, predicted empty (missed)

Averages go over frames, then objects, then sequences, each with equal weight. Two rules of the toolkit differ between
measures and are kept: an object that is never tracked, or never visible, counts with accuracy 0; an object never
visible is left out of robustness, NRE and DRE, and one with at most 10 absent frames is left out of ADQ.

Not imitated, as they are defects of the toolkit's rasteriser or traps of its protocol:
- a mask of one pixel's width or height covers an area of 0 there: it becomes empty or is compared with any other mask
  in the same column or row as if equal (IoU 1);
- a mask whose bounding box ends in column 0 or row 0 is taken for empty there;
- without the filter tag, the prompted frame counts as a miss there. For an object that appears later than frame 0 the
  toolkit scores the frame it is given on like any other, and the mask given is right: IoU 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from sam2rl_tracker.evaluation.overlaps import Flags, Masks, Overlaps, checked, frame_overlaps

MIN_ABSENT_FRAMES = 10
"""ADQ is defined for objects that are absent on more frames than this."""

LOWER_IS_BETTER = frozenset({"nre", "dre"})


@dataclass(frozen=True)
class FrameCounts:
    """How many scored frames fell into each class.

    Attributes:
        tracked: T: visible, IoU > 0.
        failed: F: visible, predicted elsewhere.
        missed: M: visible, predicted empty.
        hallucinated: H: absent, something predicted.
        noticed: N: absent, predicted empty.
    """

    tracked: int
    failed: int
    missed: int
    hallucinated: int
    noticed: int

    @property
    def visible(self) -> int:
        """Scored frames on which the object is visible."""
        return self.tracked + self.failed + self.missed

    @property
    def absent(self) -> int:
        """Scored frames on which the object is known to be absent."""
        return self.hallucinated + self.noticed


def count_frames(
    prediction: Masks, truth: Masks, known: Flags | None = None, ignored: Masks | None = None
) -> FrameCounts:
    """Class of every scored frame, counted; arguments and errors as in `frame_overlaps`."""
    prediction, truth, known = checked(prediction, truth, known)
    overlaps = frame_overlaps(prediction, truth, known, ignored)
    return count_overlaps(overlaps, _any(prediction), _any(truth), _scored(known))


def _any(masks: Masks) -> Flags:
    return np.asarray(masks.any(axis=(1, 2)))


def _scored(known: Flags) -> Flags:
    """[T], the frames that count: those of known truth but the prompted one."""
    scored = known.copy()
    scored[:1] = False
    return scored


def count_overlaps(overlaps: Overlaps, predicted: Flags, visible: Flags, scored: Flags) -> FrameCounts:
    """`count_frames` from what it takes of the masks.

    Args:
        overlaps: float [T] from `frame_overlaps`.
        predicted: bool [T], True where the prediction is not empty.
        visible: bool [T], True where the truth is not empty.
        scored: bool [T], the frames to count.
    """
    tracked = scored & visible & (overlaps > 0)
    lost = scored & visible & ~tracked
    absent = scored & ~visible
    return FrameCounts(
        tracked=int(tracked.sum()),
        failed=int((lost & predicted).sum()),
        missed=int((lost & ~predicted).sum()),
        hallucinated=int((absent & predicted).sum()),
        noticed=int((absent & ~predicted).sum()),
    )


def quality(overlaps: Overlaps) -> float:
    """Mean overlap over scored frames of known truth; 0 when there is none.

    Args:
        overlaps: float [T] from `frame_overlaps`; frame 0 is left out here.
    """
    scored = overlaps[1:][~np.isnan(overlaps[1:])]
    return float(scored.mean()) if scored.size else 0.0


def accuracy(overlaps: Overlaps, visible: Flags) -> float:
    """Mean IoU over the tracked frames: visible, scored, IoU > 0; 0 when there is none.

    Args:
        overlaps: float [T] from `frame_overlaps`; frame 0 is left out here.
        visible: bool [T], True where the truth is not empty.
    """
    tracked = overlaps[1:][visible[1:] & (overlaps[1:] > 0)]
    return float(tracked.mean()) if tracked.size else 0.0


def robustness(counts: FrameCounts) -> float | None:
    """T / (T + F + M): share of visible frames that are tracked; None when the object is never visible."""
    return counts.tracked / counts.visible if counts.visible else None


def nre(counts: FrameCounts) -> float | None:
    """Not-reported error M / (T + F + M): visible but predicted empty; None when the object is never visible."""
    return counts.missed / counts.visible if counts.visible else None


def dre(counts: FrameCounts) -> float | None:
    """Drift-rate error F / (T + F + M): visible but predicted elsewhere; None when the object is never visible."""
    return counts.failed / counts.visible if counts.visible else None


def adq(counts: FrameCounts) -> float | None:
    """Absence-detection quality N / (N + H); None unless the object is absent on more than 10 frames."""
    return counts.noticed / counts.absent if counts.absent > MIN_ABSENT_FRAMES else None


@dataclass(frozen=True)
class Measures:
    """The measures of an object, a sequence or a data set, as fractions; None = not defined there.

    Attributes:
        quality: Mean overlap over all frames. Higher is better, as for the next two.
        accuracy: Mean IoU over the frames on which the object is tracked.
        robustness: Share of the frames with the object on which it is tracked.
        nre: Not-reported error: share of the frames with the object on which nothing is predicted. Lower is better.
        dre: Drift-rate error: share of the frames with the object on which something else is predicted. Lower is
            better.
        adq: Absence-detection quality: share of the frames without the object on which nothing is predicted. Higher is
            better.
    """

    quality: float
    accuracy: float
    robustness: float | None
    nre: float | None
    dre: float | None
    adq: float | None


MEASURES = tuple(field.name for field in fields(Measures))
"""Names of the measures, in the order of a table."""


def measure_object(
    prediction: Masks, truth: Masks, known: Flags | None = None, ignored: Masks | None = None
) -> Measures:
    """All measures of one object in one video; arguments and errors as in `frame_overlaps`."""
    prediction, truth, known = checked(prediction, truth, known)
    overlaps = frame_overlaps(prediction, truth, known, ignored)
    return measure_overlaps(overlaps, _any(prediction), _any(truth), known)


def measure_overlaps(overlaps: Overlaps, predicted: Flags, visible: Flags, known: Flags) -> Measures:
    """`measure_object` from what it takes of the masks: float [T] and three times bool [T]."""
    counts = count_overlaps(overlaps, predicted, visible, _scored(known))
    return Measures(
        quality=quality(overlaps),
        accuracy=accuracy(overlaps, visible),
        robustness=robustness(counts),
        nre=nre(counts),
        dre=dre(counts),
        adq=adq(counts),
    )


def mean_measures(items: Iterable[Measures]) -> Measures:
    """Mean over the objects of a sequence, or over the sequences of a data set; undefined values are left out.

    The toolkit averages in two steps, objects into sequences first: `mean_measures([mean_measures(s) for s in ...])`.

    Raises:
        ValueError: There is nothing to average.
    """
    items = list(items)
    if not items:
        raise ValueError("no measures to average")
    means: dict[str, float | None] = {}
    for name in MEASURES:
        defined = [value for value in (getattr(item, name) for item in items) if value is not None]
        means[name] = sum(defined) / len(defined) if defined else None
    return Measures(**means)  # type: ignore[arg-type]  # quality and accuracy are always defined
