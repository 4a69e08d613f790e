"""Own measures of a workspace's results: what its stack leaves out, and those of other benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.boxes import BoxComparison, Boxes, box_measures, compare_boxes
from sam2rl_tracker.evaluation.davis import MaskMeasures, mean_mask_measures, measure_frame, tolerance_of
from sam2rl_tracker.evaluation.measures import Measures, mean_measures
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.images import Mask
from sam2rl_tracker.vot.analysis import Analysis, Scores
from sam2rl_tracker.vot.collect import Report
from sam2rl_tracker.vot.regions import EMPTY, Region
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.tracks import measure_answers, read_answers, scored_objects
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace


@dataclass(frozen=True)
class _Found:
    """What a tracker's answers are worth: an entry per object of the kind that has the measure."""

    by_sequence: dict[str, list[Measures]] = field(default_factory=dict)
    boxes: list[BoxComparison] = field(default_factory=list)
    masks: list[MaskMeasures] = field(default_factory=list)


def complete(folder: StrPath, report: Report) -> Report:
    """Add to a report what the results themselves tell.

    That are success and precision, AO and SR where the truth are boxes, and J and F where it is masks. Quality,
    accuracy and robustness are taken here where the stack does not ask for them; the report's notes say which.

    Args:
        folder: The workspace.
        report: What `collect` said of it.

    Raises:
        Sam2rlError: A file is missing or damaged.
    """
    workspace = checked_workspace(folder, truth=False)
    lacking, trackers = report.analysis.lacking, list(report.analysis.trackers)
    if not trackers:
        return report
    if workspace.answered() is None:
        cannot = f" {', '.join(lacking)} and" if lacking else ""
        note = (
            f"No experiment of {workspace.stack} runs a tracker once through every sequence: from its results{cannot} "
            "measures of boxes and masks cannot be computed."
        )
        return replace(report, analysis=replace(report.analysis, notes=[*report.analysis.notes, note]))
    found = {tracker: _Found() for tracker in trackers}
    for name in report.analysis.sequences:
        video = read_sequence(workspace.sequences / name)
        for k in scored_objects(workspace, video, report.not_scored):
            for tracker, one in found.items():
                _measure(workspace, tracker, video, k, one, own=bool(lacking))
    return replace(
        report,
        analysis=_filled(report.analysis, found) if lacking else report.analysis,
        boxes={name: box_measures(one.boxes) for name, one in found.items() if one.boxes},
        masks={name: mean_mask_measures(one.masks) for name, one in found.items() if one.masks},
    )


def _measure(workspace: Workspace, tracker: str, video: Video, object_id: int, found: _Found, own: bool) -> None:
    """Measure a tracker's answers for one object."""
    answers = read_answers(workspace, tracker, video, object_id)
    if answers is None:  # they were complete a moment ago
        raise Sam2rlError(f"{tracker} has no complete results on {video.name}, object {object_id}: evaluate it again.")
    if own:
        measures = measure_answers(answers.regions, video, object_id).measures
        found.by_sequence.setdefault(video.name, []).append(measures)
    if video.has_boxes(object_id):
        found.boxes.append(_compare_boxes(answers.regions, video, object_id))
    elif video.has_masks(object_id) and (frames := _measure_masks(answers.regions, video, object_id)):
        found.masks.append(mean_mask_measures(frames))


def _compare_boxes(answers: Sequence[Region | int], video: Video, object_id: int) -> BoxComparison:
    start = video.start(object_id)
    return compare_boxes(_boxes(answers[start:]), _boxes(video.regions[object_id][start:]), video.size)


def _boxes(regions: Sequence[Region | int]) -> Boxes:
    """[T, 4]; nans where there is none."""
    found = [region.box if isinstance(region, Region) else None for region in regions]
    return np.array([(np.nan,) * 4 if box is None else box for box in found], dtype=np.float64)


def _measure_masks(answers: Sequence[Region | int], video: Video, object_id: int) -> list[MaskMeasures]:
    """On the frames that DAVIS counts: not that on which the object is given, nor the video's last."""
    tolerance = tolerance_of(video.size)
    truth = video.regions[object_id]
    measures = []
    for t in range(video.start(object_id) + 1, len(video) - 1):
        true, answer = truth[t], answers[t]
        if isinstance(true, Region):
            found = answer if isinstance(answer, Region) else EMPTY
            masks = _cropped([found, true, video.ignored[t]], video.size, tolerance + 1)
            measures.append(measure_frame(masks[0], masks[1], tolerance, masks[2]))
    return measures


def _cropped(regions: Sequence[Region | int], size: tuple[int, int], margin: int) -> list[Mask]:
    """Masks of the part of an image in which the first two are: images may be large and objects small."""
    seen = [region for region in regions[:2] if isinstance(region, Region) and not region.empty]
    left = max(min((region.x for region in seen), default=0) - margin, 0)
    top = max(min((region.y for region in seen), default=0) - margin, 0)
    right = min(max((region.x + region.width for region in seen), default=0) + margin, size[1])
    bottom = min(max((region.y + region.height for region in seen), default=0) + margin, size[0])
    room = max(bottom - top, 1), max(right - left, 1)
    return [
        (replace(region, x=region.x - left, y=region.y - top) if isinstance(region, Region) else EMPTY).full(room)
        for region in regions
    ]


def _filled(analysis: Analysis, found: dict[str, _Found]) -> Analysis:
    """The measures with those that the stack lacks."""
    own = {
        tracker: {name: mean_measures(objects) for name, objects in one.by_sequence.items()}
        for tracker, one in found.items()
    }
    named = [name for name in analysis.lacking if not name.endswith("by sequence")]
    by_sequence = [name.removesuffix(" by sequence") for name in analysis.lacking if name.endswith("by sequence")]
    parts = [", ".join(named)] if named else []
    parts += [f"{', '.join(by_sequence)} by sequence"] if by_sequence else []
    note = (
        f"Computed by sam2rl from the results, as VOTS does and without the first frame, as the stack does not give "
        f"them: {'; '.join(parts)}."
    )
    return replace(
        analysis,
        trackers={
            tracker: _with(scores, mean_measures(list(own[tracker].values())), named)
            for tracker, scores in analysis.trackers.items()
        },
        sequences={
            name: {tracker: _with(scores, own[tracker][name], by_sequence) for tracker, scores in row.items()}
            for name, row in analysis.sequences.items()
        },
        notes=[*analysis.notes, note],
    )


def _with(scores: Scores, own: Measures, names: Sequence[str]) -> Scores:
    return Scores(
        quality=own.quality if "quality" in names else scores.quality,
        accuracy=own.accuracy if "accuracy" in names else scores.accuracy,
        robustness=own.robustness if "robustness" in names else scores.robustness,
    )
