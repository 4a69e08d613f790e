"""A rule's decisions: recorded while it tracks, kept beside the golden masks, played again and compared.

A trace holds, for every frame, what the rule decided and the numbers that it decided by. Two checks need no particular
machine. Played again from the trace's own numbers, without a network, the rule must decide the same on every frame.
Tracking, it must decide the same until the numbers of the run, whose last bits are the machine's, lie on the other side
of one of its thresholds: the numbers of both runs are then compared, and between them lies the threshold.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference import Video, encode_once

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Candidates, Features, FrameRecord, MemorySelection, Model
from sam2rl_tracker.policies import Choice, Encoding, Outcome, Policy, Prediction, Start, make_policy


@dataclass(frozen=True)
class Step:
    """One frame t >= 1 of a rule, as JSON holds it. Decisions first, then the numbers behind them."""

    memories: list[list[list[int]]]  # [hypotheses][memories] frame, temporal slot
    pointers: list[list[list[int]]]  # [hypotheses][pointers] frame, distance
    choices: list[list[int]]  # [choices] hypothesis, candidate, visible
    encodings: list[str]  # [choices]
    ious: list[list[float]]  # [hypotheses][K] predicted IoU, all digits: sums of their logarithms nearly tie
    peaks: list[list[float]]  # [hypotheses][K] logits
    object_scores: list[float]  # [hypotheses] logits
    boxes: list[list[list[int]]] | None  # [hypotheses][K] xmin, ymin, xmax, ymax
    areas: list[int]  # [choices] pixels
    candidates: list[str]  # [choices] the masks bool [K, height, width], packed, in hex; "" where nobody asked for them
    input_areas: list[list[int]] | None = None  # [hypotheses][K] pixels at the model's input size
    input_candidates: list[str] = field(default_factory=list)  # as `candidates`, [K, S, S] at the model's input size
    measured: list[list[float]] | None = None  # [hypotheses] what the rule measured itself on the device

    @property
    def attended(self) -> tuple[Any, ...]:
        return self.memories, self.pointers

    def predicted(self) -> Step:
        """Without what became of the choices."""
        return replace(self, areas=[], candidates=[], input_candidates=[])

    def unlike(self, other: Step) -> str | None:
        """The first decision that is not the other's, None where all are."""
        for name in ("memories", "pointers", "choices", "encodings"):
            found, expected = getattr(self, name), getattr(other, name)
            if found != expected:
                return f"{name} are {found}, not {expected}"
        return None


class Recorder(Policy):
    """A rule that writes down what it is told and what it answers."""

    def __init__(self, rule: Policy):
        self._rule = rule
        self.needs_boxes, self.exact, self.math_attention = rule.needs_boxes, rule.exact, rule.math_attention  # type: ignore[misc]
        self.needs_features = rule.needs_features  # type: ignore[misc]
        self.steps: list[Step] = []  # of frames 1, 2, ...

    def look(self, t: int, features: Features) -> None:
        self._rule.look(t, features)

    def begin(self, start: Start) -> None:
        self._rule.begin(start)

    def select(self, t: int) -> Sequence[MemorySelection]:
        self._selections = self._rule.select(t)
        return self._selections

    def measure(self, t: int, candidates: Candidates) -> torch.Tensor:
        return self._rule.measure(t, candidates)

    def choose(self, t: int, predictions: Sequence[Prediction]) -> Sequence[Choice]:
        self._predictions = predictions
        self._choices = self._rule.choose(t, predictions)
        return self._choices

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> Sequence[Encoding]:
        self._areas = [outcome.area for outcome in outcomes]
        self._candidates, self._input_candidates = [""] * len(outcomes), [""] * len(outcomes)
        self._encodings = self._rule.observe(t, [self._watched(i, outcome) for i, outcome in enumerate(outcomes)])
        return self._encodings

    def _watched(self, choice: int, outcome: Outcome) -> Outcome:
        """An outcome that tells when its candidate masks are asked for."""

        def watched(fetch: Callable[[], np.ndarray] | None, kept: list[str]) -> Callable[[], np.ndarray]:
            def ask() -> np.ndarray:
                assert fetch is not None
                masks = fetch()
                kept[choice] = np.packbits(masks).tobytes().hex()
                return masks

            return ask

        prediction = replace(
            outcome.prediction,
            candidate_masks=watched(outcome.prediction.candidate_masks, self._candidates),
            input_masks=watched(outcome.prediction.input_masks, self._input_candidates),
        )
        return replace(outcome, prediction=prediction)

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        self._rule.store(t, records)
        boxes = [p.boxes.astype(int).tolist() for p in self._predictions if p.boxes is not None]
        areas = [p.areas.astype(int).tolist() for p in self._predictions if p.areas is not None]
        measured = [np.round(p.measured.astype(float), 6).tolist() for p in self._predictions if p.measured is not None]
        self.steps.append(
            Step(
                memories=[[[r.frame, slot] for r, slot in s.memories] for s in self._selections],
                pointers=[[[r.frame, distance] for r, distance in s.pointers] for s in self._selections],
                choices=[[c.hypothesis, c.candidate, int(c.visible)] for c in self._choices],
                encodings=[encoding.value for encoding in self._encodings],
                ious=[[float(str(iou)) for iou in p.ious] for p in self._predictions],
                peaks=[np.round(p.peaks.astype(float), 1).tolist() for p in self._predictions],
                object_scores=[round(p.object_score, 4) for p in self._predictions],
                boxes=boxes or None,
                areas=self._areas,
                candidates=self._candidates,
                input_areas=areas or None,
                input_candidates=self._input_candidates if any(self._input_candidates) else [],
                measured=measured or None,
            )
        )

    def reachable(self) -> Any:
        return self._rule.reachable()

    @property
    def revises(self) -> bool:
        return self._rule.revises

    def revise(self) -> Sequence[int]:
        return self._rule.revise()


def track_recorded(model: Model, video: Video, policy: str) -> tuple[np.ndarray, list[Step]]:
    """Track in exact mode: masks bool [T, height, width], the rule's last word on each, and its decisions."""
    recorder = Recorder(make_policy(policy)())
    tracker = Tracker(model, lambda: recorder, exact=True, num_frames=len(video.images))  # its one object's policy
    encode_once(tracker)
    masks = [tracker.initialize(video.images[0], video.truth[:1])[0]]
    masks += [tracker.track(image)[0] for image in video.images[1:]]
    if tracker.revises:
        masks[1:] = [mask for (mask,), _ in tracker.revise()]
    return np.stack(masks), recorder.steps


# ------------------------------------------------------------------------------------------------------ kept traces


def read_traces(file: Path) -> dict[str, dict[str, Any]]:
    """Of one video: {golden set: {"made_on": what machine and how, "steps": its trace}}; {} where there is no file."""
    if not file.exists():
        return {}
    traces = json.loads(lzma.decompress(file.read_bytes()))
    for trace in traces.values():
        trace["steps"] = [Step(**step) for step in trace["steps"]]
    return traces


def write_traces(file: Path, traces: dict[str, dict[str, Any]]) -> None:
    """The inverse of `read_traces`."""
    plain = {golden: trace | {"steps": list(map(asdict, trace["steps"]))} for golden, trace in sorted(traces.items())}
    file.write_bytes(lzma.compress(json.dumps(plain, separators=(",", ":")).encode(), preset=9))


# ----------------------------------------------------------------------------------------------------- played again


def replay(policy: str, steps: Sequence[Step], masks: np.ndarray) -> str | None:
    """Ask a rule again, by a trace's numbers alone: what it does otherwise than the trace, None where nothing.

    Args:
        policy: its name and parameters.
        masks: bool [T, height, width], the output on every frame. Every choice is given it: rules that follow several
            hypotheses do not look at masks.
    """
    rule = Recorder(make_policy(policy)())
    rule.look(0, NOTHING_SEEN)
    rule.begin(
        Start(_record(0, 1.0, 10.0, int(masks[0].sum())), len(masks), None, masks[0], None, None, torch.zeros(4, 4))
    )  # type: ignore[arg-type]
    for t, step in enumerate(steps, start=1):
        rule.look(t, NOTHING_SEEN)
        selections = rule.select(t)
        if len(selections) != len(step.ious):
            return f"frame {t}: {len(selections)} hypotheses, not {len(step.ious)}"
        predictions = [_prediction(step, hypothesis, masks.shape[1:]) for hypothesis in range(len(step.ious))]
        rule.measure(t, nothing_predicted(predictions))
        choices = rule.choose(t, predictions)
        if len(choices) != len(step.choices):
            return f"frame {t}: {len(choices)} choices, not {len(step.choices)}"
        picked = [predictions[choice.hypothesis] for choice in choices]
        outcomes = [
            Outcome(prediction, choice, masks[t], area, torch.zeros(1))
            for prediction, choice, area in zip(picked, choices, step.areas, strict=True)
        ]
        try:
            rule.observe(t, outcomes)
        except UnkeptError:
            return f"frame {t}: it asks for candidate masks, which it did not when the trace was made"
        ious = [float(prediction.ious[choice.candidate]) for prediction, choice in zip(picked, choices, strict=True)]
        scores = [prediction.object_score for prediction in picked]
        rule.store(t, [_record(t, *values) for values in zip(ious, scores, step.areas, strict=True)])
        if (difference := rule.steps[-1].unlike(step)) is not None:
            return f"frame {t}: {difference}"
    return None


# A rule that looks at features measures numbers on them, which the trace holds, and decides by those. In a trace it has
# nothing to look at: one place of four channels, and logits of the size that belongs to it.
NOTHING_SEEN = Features(torch.zeros(1, 4, 1, 1), torch.zeros(1, 1, 4), torch.zeros(1, 1, 4), (), (16, 16))


def nothing_predicted(predictions: Sequence[Prediction]) -> Candidates:
    """What belongs to `NOTHING_SEEN`."""
    ious = torch.tensor(np.stack([prediction.ious for prediction in predictions]))
    rows, count = ious.shape
    tokens, scores, maps = torch.zeros(rows, count, 4), torch.zeros(rows), torch.zeros(rows, 4, 1, 1)
    return Candidates(torch.zeros(rows, count, 4, 4), ious, tokens, scores, maps)


class UnkeptError(Exception):
    """A rule asks for candidate masks that a trace does not have."""


def _record(frame: int, iou: float, object_score: float, area: int) -> FrameRecord:
    return FrameRecord(frame, None, torch.zeros(1), iou, object_score, area)


def _prediction(step: Step, hypothesis: int, size: tuple[int, ...]) -> Prediction:
    """The numbers of one hypothesis. In the reference, videos have the model's input size."""

    def fetch(kept: list[str]) -> np.ndarray:
        packed = next((masks for masks, choice in zip(kept, step.choices, strict=False) if choice[0] == hypothesis), "")
        if not packed:
            raise UnkeptError
        bits = np.frombuffer(bytes.fromhex(packed), dtype=np.uint8)
        return np.unpackbits(bits).reshape(-1, *size).astype(bool)

    return Prediction(
        ious=np.array(step.ious[hypothesis], dtype=np.float32),
        peaks=np.array(step.peaks[hypothesis], dtype=np.float32),
        object_score=step.object_scores[hypothesis],
        boxes=None if step.boxes is None else np.array(step.boxes[hypothesis], dtype=np.float32),
        candidate_masks=lambda: fetch(step.candidates),
        areas=None if step.input_areas is None else np.array(step.input_areas[hypothesis], dtype=np.float32),
        input_masks=lambda: fetch(step.input_candidates),
        measured=None if step.measured is None else np.array(step.measured[hypothesis], dtype=np.float32),
    )


# --------------------------------------------------------------------------------------------------------- compared


@dataclass(frozen=True)
class Apart:
    """How far the numbers of two runs lie apart.

    Boxes are not compared: one stray pixel moves a box by any distance. They are those of the masks that are.
    """

    iou: float  # predicted IoU
    logit: float  # object score
    pixels: int  # a mask's area, and pixels of a candidate mask
    measured: float = 0.0  # what a rule measures itself

    def within(self, margin: Apart) -> bool:
        pairs = zip(asdict(self).values(), asdict(margin).values(), strict=True)
        return all(own <= most for own, most in pairs)

    def __str__(self) -> str:
        text = f"predicted IoU {self.iou:.1g}, object score {self.logit:.1g}, {self.pixels} pixels"
        return text + (f", its own measures {self.measured:.1g}" if self.measured else "")


@dataclass(frozen=True)
class Parting:
    """The first decision of a run that is not a trace's."""

    frame: int
    what: str
    apart: Apart  # of all numbers that it follows from

    def __str__(self) -> str:
        return f"frame {self.frame}, {self.what}: both follow from numbers that are within {self.apart}"


def parting(run: Sequence[Step], trace: Sequence[Step]) -> Parting | None:
    """Where a run's decisions leave a trace's, None where they never do."""
    for t, (ours, kept) in enumerate(zip(run, trace, strict=True), start=1):
        if (difference := ours.unlike(kept)) is None:
            continue
        # What a frame attends to follows from the frames before; its choices from its predictions, too; how it is
        # remembered also from what became of the choices.
        last: list[tuple[Step, Step]] = []
        if ours.attended == kept.attended:
            last = [(ours, kept) if ours.choices == kept.choices else (ours.predicted(), kept.predicted())]
        return Parting(t, difference, apart([*zip(run[: t - 1], trace[: t - 1], strict=True), *last]))
    return None


def apart(pairs: Sequence[tuple[Step, Step]]) -> Apart:
    """The largest distances over pairs of frames with the same hypotheses."""
    pixels = [_largest(a.areas, b.areas) for a, b in pairs]
    pixels += [_largest(a.input_areas, b.input_areas) for a, b in pairs if a.input_areas and b.input_areas]
    for a, b in pairs:
        pixels += [_different(*masks) for masks in zip(a.candidates, b.candidates, strict=True) if all(masks)]
        pixels += [
            _different(*masks) for masks in zip(a.input_candidates, b.input_candidates, strict=False) if all(masks)
        ]
    return Apart(
        max((_largest(a.ious, b.ious) for a, b in pairs), default=0.0),
        max((_largest(a.object_scores, b.object_scores) for a, b in pairs), default=0.0),
        int(max(pixels, default=0)),
        max((_largest(a.measured, b.measured) for a, b in pairs if _same_length(a.measured, b.measured)), default=0.0),
    )


def _same_length(a: list[list[float]] | None, b: list[list[float]] | None) -> bool:
    """Whether two steps measured the same: a run that remembers another frame measures another number of likenesses."""
    return a is not None and b is not None and list(map(len, a)) == list(map(len, b))


def _largest(a: Any, b: Any) -> float:
    return float(np.abs(np.array(a, dtype=float) - np.array(b, dtype=float)).max(initial=0))


def _different(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()
