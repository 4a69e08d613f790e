"""Where videos to learn from come from: workspaces, and generated scenes without end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import FEWEST_FRAMES, Clip
from sam2rl_tracker.evaluation.scoring import NotScored
from sam2rl_tracker.learning import seeds
from sam2rl_tracker.learning.contents import Contents
from sam2rl_tracker.media.images import read_image
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.synthetic.presets import find_preset
from sam2rl_tracker.vot.clips import Objects, SequenceObject, Shown, load_clip, objects_of, shown
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.workspace import open_workspace

GENERATED = "generated"
_LOOKS = 8  # of a training video's frames, how many are looked for among the validation's


@dataclass(frozen=True)
class Source:
    """One of the things that users name: a workspace's folder, or `generated[:PRESET]`.

    Attributes:
        text: As given. A folder that is called so itself is `./generated`.
        first: Seed of the first generated scene.
        size: Side of generated pictures, in pixels.
        refused: What no clip may show, since it is validated on.
    """

    text: str
    first: int = seeds.TRAIN
    size: int = 128
    refused: Contents | None = None

    @property
    def preset(self) -> str | None:
        """Of generated scenes; None for a workspace."""
        name, _, preset = self.text.partition(":")
        return (preset or "default") if name == GENERATED else None

    @cached_property
    def _found(self) -> Objects:
        return objects_of(self.text)

    @property
    def objects(self) -> list[SequenceObject]:
        """Of a workspace."""
        return self._found.found

    @property
    def left_out(self) -> list[NotScored]:
        """Sequences and objects of a workspace that nothing can be learned from."""
        return [] if self.preset is not None else self._found.not_scored

    @property
    def names(self) -> list[str]:
        """A workspace's sequences with an object to learn from."""
        return list(dict.fromkeys(name for name, _ in self.objects))

    def check(self, frames: int) -> None:
        """Find what would otherwise come to light after hours.

        Args:
            frames: Of a clip, at most.

        Raises:
            Sam2rlError: There is no such preset or workspace, or there is an object in it that nothing can be learned
                from in so few frames.
        """
        if self.preset is not None:
            find_preset(self.preset)
            return
        workspace = open_workspace(self.text)
        videos = {name: read_sequence(workspace.sequences / name) for name in self.names}
        for name, number in self.objects:
            starts_of(shown(videos[name], number), frames, f"{name} of {self.text}, object {number}")

    def seed(self, index: int) -> int:
        """Of a generated scene. Those to learn from begin anew before they reach the validation's."""
        if self.first >= seeds.VALIDATE or self.first < seeds.TRAIN:
            return self.first + index
        return seeds.TRAIN + (self.first + index - seeds.TRAIN) % (seeds.VALIDATE - seeds.TRAIN)

    def clip(self, index: int, frames: int) -> Clip:
        """The clip of a number, the same for the same number; at most so many frames.

        Of a workspace's longer clips, a part is taken that begins where the object is seen.

        Raises:
            Sam2rlError: A generated scene is also validated on, or a workspace's clip has nothing to learn from.
        """
        if self.preset is None:
            name, number = self.objects[index % len(self.objects)]
            chance = np.random.default_rng([index, self.first])
            return load_clip(open_workspace(self.text), name, number, lambda seen: part_of(seen, frames, chance))
        seed = self.seed(index)
        scene = generate_scene(seed, frames, self.size, preset=self.preset)
        found = self.refused.find(scene.images[0]) if self.refused else None
        if found:
            raise _overlap(found, f"scene {seed} of {self.text}")
        return Clip(list(scene.images), scene.labels == 1, np.ones(frames, dtype=bool))

    def frames_of(self, name: str, most: int | None = None) -> Iterator[np.ndarray]:
        """Images of a workspace's sequence, evenly spread; all of them by default."""
        paths = read_sequence(open_workspace(self.text).sequences / name).images
        chosen = range(len(paths)) if most is None else np.unique(np.linspace(0, len(paths) - 1, most).astype(int))
        return (read_image(paths[t]) for t in chosen)

    def contents(self, scenes: int, frames: int) -> Contents:
        """What its videos show.

        Args:
            scenes: How many, of generated ones; of a workspace, all.
            frames: Of a generated scene.
        """
        if self.preset is None:
            return Contents.of((f"{name} of {self.text}", self.frames_of(name)) for name in self.names)
        given = ((f"Scene {self.seed(k)} of {self.text}", iter(self.clip(k, frames).images)) for k in range(scenes))
        return Contents.of(given)


def starts_of(shown: Shown, frames: int, name: str = "A clip") -> list[int]:
    """Where a part of so many frames can begin: where the object is seen, and known again on a later frame.

    Raises:
        Sam2rlError: Nowhere.
    """
    last = max(len(shown.seen) - FEWEST_FRAMES, 0)
    starts = [int(t) for t in np.flatnonzero(shown.seen[: last + 1]) if shown.known[t + 1 : t + frames].any()]
    if not starts:
        raise Sam2rlError(
            f"{name}: nobody knows where the object is on any of the {frames} frames after one on which it is seen: "
            "give a higher --set frames, or leave the sequence out."
        )
    return starts


def part_of(shown: Shown, frames: int, chance: np.random.Generator) -> slice:
    """At most so many frames of a clip, from one on which the object is seen.

    Raises:
        Sam2rlError: See `starts_of`.
    """
    starts = starts_of(shown, frames)
    if len(shown.seen) <= frames:
        return slice(starts[0], None)
    whole = [t for t in starts if t + frames <= len(shown.seen)]
    start = int(chance.choice(whole or starts))
    return slice(start, start + frames)


def sources_of(texts: Sequence[str], first: int, size: int, frames: int) -> list[Source]:
    """What users named, checked.

    Args:
        first, size: See `Source`.
        frames: See `Source.check`.

    Raises:
        Sam2rlError: See `Source.check`.
    """
    sources = [Source(text, first, size) for text in texts]
    for source in sources:
        source.check(frames)
    return sources


def draw(sources: Sequence[Source], indices: Sequence[int], frames: int) -> list[Clip]:
    """Clips by their numbers, of all sources in turn."""
    given = [(sources[i % len(sources)], i) for i in indices]
    return [source.clip(i // len(sources) if source.preset is None else i, frames) for source, i in given]


def keep_apart(train: Sequence[Source], validate: Source, scenes: int, frames: int) -> list[Source]:
    """The sources to learn from, which show nothing that is validated on: names and sizes do not matter.

    Generated scenes have seeds of their own. What of them a workspace holds is noticed when they are drawn.

    Args:
        scenes: How many are validated on, of generated ones.
        frames: Of a generated scene.

    Raises:
        Sam2rlError: A workspace's video is in both.
    """
    if all(source.preset is not None for source in (*train, validate)):
        return list(train)
    contents = validate.contents(scenes, frames)
    for source in train:
        for name in source.names if source.preset is None else []:
            for image in source.frames_of(name, _LOOKS):
                found = contents.find(image)
                if found:
                    raise _overlap(found, f"{name} of {source.text}")
    return [replace(source, refused=contents) if source.preset is not None else source for source in train]


def _overlap(validated: str, trained: str) -> Sam2rlError:
    return Sam2rlError(
        f"{validated} is also trained on ({trained} shows the same): validate on other videos, or what is chosen by "
        "them says nothing."
    )
