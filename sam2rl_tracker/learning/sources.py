"""Where videos to learn from come from: workspaces, and generated scenes without end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sam2rl_tracker.agents.agent import fingerprint
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import FEWEST_FRAMES, Clip
from sam2rl_tracker.learning import seeds
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.synthetic.presets import find_preset
from sam2rl_tracker.vot.clips import SequenceObject, load_clip, objects_of
from sam2rl_tracker.vot.workspace import open_workspace

GENERATED = "generated"


@dataclass(frozen=True)
class Source:
    """One of the things that users name: a workspace's folder, or `generated[:PRESET]`.

    Attributes:
        text: As given.
        first: Seed of the first generated scene.
        size: Side of generated pictures, in pixels.
    """

    text: str
    first: int = seeds.TRAIN
    size: int = 128

    @property
    def preset(self) -> str | None:
        """Of generated scenes; None for a workspace."""
        name, _, preset = self.text.partition(":")
        return (preset or "default") if name == GENERATED else None

    @cached_property
    def objects(self) -> list[SequenceObject]:
        """Of a workspace."""
        return objects_of(self.text).found

    def check(self) -> None:
        """Raises: Sam2rlError: There is no such preset or workspace, or nothing in it to learn from."""
        if self.preset is not None:
            find_preset(self.preset)
        elif not self.objects:
            raise Sam2rlError(f"{self.text} has nothing to learn from.")

    def clip(self, index: int, frames: int) -> Clip:
        """The clip of a number, the same for the same number; at most so many frames.

        Of a workspace's longer clips, a part is taken that begins where the object is seen.
        """
        if self.preset is not None:
            scene = generate_scene(self.first + index, frames, self.size, preset=self.preset)
            return Clip(list(scene.images), scene.labels == 1, np.ones(frames, dtype=bool))
        name, number = self.objects[index % len(self.objects)]
        clip = load_clip(open_workspace(self.text), name, number)
        return part_of(clip, frames, np.random.default_rng([index, self.first]))

    def fingerprints(self) -> dict[str, str]:
        """{what a workspace's object is, by its pixels: its name}; nothing for generated scenes."""
        if self.preset is not None:
            return {}
        workspace = open_workspace(self.text)
        clips = {f"{name}, object {k}": load_clip(workspace, name, k) for name, k in self.objects}
        return {fingerprint(clip.images[0], clip.masks[0], ""): name for name, clip in clips.items()}


def part_of(clip: Clip, frames: int, chance: np.random.Generator) -> Clip:
    """At most so many frames of a clip, from one on which the object is seen."""
    if len(clip) <= frames:
        return clip
    seen = clip.masks.any(axis=(1, 2)) & clip.known
    starts = [t for t in np.flatnonzero(seen[: len(clip) - FEWEST_FRAMES + 1]) if clip.known[t + 1 : t + frames].any()]
    whole = [t for t in starts if t + frames <= len(clip)]
    start = int(chance.choice(whole or starts))
    end = start + frames
    ignored = None if clip.ignored is None else clip.ignored[start:end]
    return Clip(clip.images[start:end], clip.masks[start:end], clip.known[start:end], ignored)


def sources_of(texts: Sequence[str], first: int, size: int) -> list[Source]:
    """What users named, checked.

    Raises:
        Sam2rlError: See `Source.check`.
    """
    sources = [Source(text if text.startswith(GENERATED) else str(Path(text)), first, size) for text in texts]
    for source in sources:
        source.check()
    return sources


def draw(sources: Sequence[Source], indices: Sequence[int], frames: int) -> list[Clip]:
    """Clips by their numbers, of all sources in turn, cut to the length of the shortest."""
    given = [(sources[i % len(sources)], i) for i in indices]
    clips = [source.clip(i // len(sources) if source.preset is None else i, frames) for source, i in given]
    shortest = min(len(clip) for clip in clips)
    return [_cut(clip, shortest) for clip in clips]


def _cut(clip: Clip, frames: int) -> Clip:
    ignored = None if clip.ignored is None else clip.ignored[:frames]
    if not clip.known[1:frames].any():
        raise Sam2rlError(f"A clip's truth is unknown on its first {frames} frames: leave its sequence out.")
    return replace(
        clip, images=clip.images[:frames], masks=clip.masks[:frames], known=clip.known[:frames], ignored=ignored
    )


def refuse_overlap(train: Sequence[Source], validate: Sequence[Source]) -> None:
    """Raises: Sam2rlError: An object is in both, by its pixels."""
    known = {key: f"{name} of {source.text}" for source in train for key, name in source.fingerprints().items()}
    for source in validate:
        for key, name in source.fingerprints().items():
            if key in known:
                raise Sam2rlError(
                    f"{name} of {source.text} is also trained on ({known[key]}): validate on other videos, or what is "
                    "chosen by them says nothing."
                )
