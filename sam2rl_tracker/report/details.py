"""One object of one sequence in detail: its chart, and frames with two trackers' masks."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.results import Results
from sam2rl_tracker.evaluation.tracks import ObjectTracks, worst_span
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.media.images import Image, Mask, read_image
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.report.chart import draw_chart
from sam2rl_tracker.report.style import Styles
from sam2rl_tracker.vot.regions import Region
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.tracks import read_answers
from sam2rl_tracker.vot.workspace import Workspace

_PANEL = 166  # pixels of the larger side of a frame
_APART = 12  # frames shown are at least a twelfth of the video apart
_STYLE = (  # of charts outside of the page
    "svg{font:10.5px sans-serif;background:#fff}.line,.sample{fill:none;stroke-width:1.8}.grid{stroke:#ccd}"
    ".at{stroke:#000;stroke-width:.7;stroke-dasharray:2 3}.absent{fill:#e4e7eb}.unknown{fill:#f3e8d2}"
    ".unused{fill:#6b7480}.frames text{fill:#fff;font-size:7.6px}.frames .dark{fill:#000}"
)


@dataclass(frozen=True)
class Still:
    """A frame with the masks of the two trackers that differ most.

    Attributes:
        frame: Its number.
        why: It was chosen, in words.
        scores: {tracker: IoU}.
        silent: Those of the trackers that give no mask.
        picture: uint8 [h, w, 3], a panel for each of the scores.
        source: The picture as a data URI.
    """

    frame: int
    why: str
    scores: dict[str, float]
    silent: set[str]
    picture: Image
    source: str


@dataclass(frozen=True)
class Detail:
    """What the page shows of one object.

    Attributes:
        one: What the trackers did on it.
        chart: IoU and banks over time, as inline SVG.
        stills: Frames that tell most.
    """

    one: ObjectTracks
    chart: str
    stills: list[Still]

    @property
    def name(self) -> str:
        """Of its files and in the page's links."""
        return f"{self.one.sequence}_{self.one.object_id}"


def draw_details(results: Results, workspace: Workspace, styles: Styles, limit: int) -> list[Detail]:
    """Charts and frames of the objects on which the trackers differ most.

    Args:
        results: Of the workspace.
        workspace: The one that was measured.
        styles: Of its trackers.
        limit: At most so many objects.

    Raises:
        Sam2rlError: An image cannot be read.
    """
    chosen = sorted(results.objects, key=lambda one: -one.spread)[:limit]
    details = []
    for one in chosen:
        pair = rivals(one, results.base)
        picks = pick_frames(one, pair)
        stills = list(_draw_stills(workspace, one, pair, picks, styles))
        details.append(Detail(one, draw_chart(one, styles, sorted(picks), results.trained), stills))
    return details


def save_details(details: Sequence[Detail], folder: Path) -> None:
    """Write NAME.svg (the chart) and NAME.png (the frames, from top to bottom) for each.

    Raises:
        Sam2rlError: A file cannot be written.
    """
    for detail in details:
        with atomic_path(folder / f"{detail.name}.svg") as temporary:
            head, rest = detail.chart.split(">", 1)
            opening = f'{head} xmlns="http://www.w3.org/2000/svg"><style>{_STYLE}</style>'
            temporary.write_text(opening + rest, encoding="utf-8")
        if detail.stills:
            with atomic_path(folder / f"{detail.name}.png") as temporary:
                PILImage.fromarray(np.concatenate([still.picture for still in detail.stills])).save(temporary)


def rivals(one: ObjectTracks, base: str | None) -> tuple[str, ...]:
    """The two trackers whose qualities differ most, the baseline being one where it is there; or the only one."""
    quality = {name: track.measures.quality for name, track in one.tracks.items()}
    first = base or min(quality, key=lambda name: quality[name])
    others = [name for name in quality if name != first]
    return (first, *sorted(others, key=lambda name: -abs(quality[name] - quality[first]))[:1])


def pick_frames(one: ObjectTracks, pair: Sequence[str]) -> dict[int, str]:
    """Up to six scored frames that tell most, in order of time: {frame: why}."""
    overlaps = np.stack([one.tracks[name].overlaps for name in pair])  # [trackers, T]
    gain, mean = overlaps[-1] - overlaps[0], overlaps.mean(axis=0)
    picks: dict[int, str] = {}

    def pick(values: np.ndarray, count: int, why: str) -> None:
        for t in np.argsort(-values, kind="stable"):
            apart = all(abs(int(t) - other) >= max(2, len(values) // _APART) for other in picks)
            if count and apart and one.scored[t] and np.isfinite(values[t]):
                picks[int(t)] = why
                count -= 1

    if len(pair) > 1:
        loser, winner = sorted(pair, key=lambda name: one.tracks[name].measures.quality)
        if span := worst_span(one, loser, winner):
            picks[span[0]] = f"{loser} falls behind from here"
        pick(np.where(gain > 0.1, gain, np.nan), 2, f"{pair[1]} is ahead most")
        pick(np.where(gain < -0.1, -gain, np.nan), 1, f"{pair[0]} is ahead most")
    both = " for both" * (len(pair) > 1)
    pick(-mean, 1, f"worst{both}")
    pick(np.where(one.visible, mean, np.nan), 1, f"best{both}")
    return dict(sorted(picks.items()))


# ---------------------------------------------------------------- frames


def _draw_stills(
    workspace: Workspace, one: ObjectTracks, pair: Sequence[str], picks: Mapping[int, str], styles: Styles
) -> Iterator[Still]:
    video = read_sequence(workspace.sequences / one.sequence)
    regions = {name: _read_regions(workspace, name, video, one.object_id) for name in pair}
    truth = video.regions[one.object_id]
    for t, why in picks.items():
        image = read_image(video.images[t])
        panels = []
        for name in pair:
            labels = styles[name].label * _full(regions[name][t], video.size).astype(np.uint8)
            panels.append(_panel(overlay(image, labels, alpha=0.4), _full(truth[t], video.size)))
        buffer = io.BytesIO()
        picture = np.concatenate(panels, axis=1)
        PILImage.fromarray(picture).save(buffer, "WEBP", quality=70, method=2)
        source = f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
        scores = {name: float(one.tracks[name].overlaps[t]) for name in pair}
        silent = {name for name in pair if not one.tracks[name].predicted[t]}
        yield Still(t, why, scores, silent, picture, source)


def _read_regions(workspace: Workspace, tracker: str, video: Video, object_id: int) -> list[Region | int]:
    answers = read_answers(workspace, tracker, video, object_id)
    if answers is None:  # they were complete a moment ago
        raise Sam2rlError(f"{tracker} has no complete results on {video.name}, object {object_id}: evaluate it again.")
    return answers.regions


def _full(region: Region | int, size: tuple[int, int]) -> Mask:
    return region.full(size) if isinstance(region, Region) else np.zeros(size, dtype=bool)


def _panel(image: Image, truth: Mask) -> Image:
    """An image at the size of the page, with the outline of the truth in white on black."""
    height, width = image.shape[:2]
    factor = _PANEL / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.array(PILImage.fromarray(image).resize(size, PILImage.Resampling.BICUBIC))
    inside = np.asarray(PILImage.fromarray(truth).resize(size, PILImage.Resampling.NEAREST))
    near = _grown(inside) & ~inside
    small[_grown(near) & ~inside & ~near] = 0
    small[near] = 255
    return np.pad(small, ((0, 0), (0, 2), (0, 0)), constant_values=255)


def _grown(mask: Mask) -> Mask:
    """A mask and the pixels beside it."""
    padded = np.pad(mask, 1)
    grown: Mask = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:] | mask
    return grown
