"""What nano learns from: short clips cut out of a moving window of generated scenes.

Everything follows from the seed and the step, so a training that was interrupted goes on as if it had not been. Blocks
of scenes are generated ahead by another process; each scene is used several times, differently cut and coloured.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.runs.executors import Executor, Outcome, Processes, result_of
from sam2rl_tracker.synthetic.scenes import generate_scene

OBJECTS = 2  # of a scene that a clip follows
_SCENE_OBJECTS = 3
_FRAMES = 64
_BLOCK = 16  # scenes
_SHIFT = 28  # pixels of 128 that a frame may be moved by


@dataclass(frozen=True)
class Clips:
    """A batch of B clips of T frames that follow K objects each.

    Attributes:
        images: [B, T, S, S, 3] RGB.
        masks: [B, K, T, S, S]. Every object is seen on a clip's first frame.
        times: [B, T] frame numbers in the source.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    times: NDArray[np.int64]

    def split(self, parts: int) -> list[Clips]:
        """The clips dealt out into so many batches, in order."""
        fields = (np.array_split(values, parts) for values in (self.images, self.masks, self.times))
        return [Clips(*part) for part in zip(*fields, strict=True)]


@dataclass(frozen=True)
class Cut:
    """How clips are cut out of scenes.

    Attributes:
        clips: How many make a batch. Higher values make a step dearer and its gradient steadier.
        frames: Frames of each. Higher values teach longer memories.
        longest: The most frames of the source between two of a clip, if the source is long enough. Higher values make
            objects move further from frame to frame.
        shift: The share of clips whose frames are each moved by another random distance, as by a shaking camera.
        cuts: The share of frames that come from another scene, where the objects are not.
    """

    clips: int
    frames: int
    longest: int
    shift: float = 0.0
    cuts: float = 0.0


@dataclass(frozen=True)
class _Block:
    images: NDArray[np.uint8]  # [scenes, T, S, S, 3]
    labels: NDArray[np.uint8]  # [scenes, T, S, S]


@dataclass(frozen=True)
class _BlockTask:
    seed: int
    number: int
    size: int
    presets: tuple[str, ...]


class Source:
    """The scenes of a training. Use it through `open_source`.

    Args:
        executor: Generates them.
    """

    def __init__(
        self, seed: int, size: int, presets: tuple[str, ...], window: int, steps_per_block: int, executor: Executor
    ):
        self._seed, self._size, self._presets, self._executor = seed, size, presets, executor
        self._window, self._pace = window, steps_per_block
        self._blocks: dict[int, _Block] = {}
        self._coming: Generator[Outcome[_BlockTask, _Block], None, None] | None = None
        self._next = 0  # the number of the block that is coming

    def clips(self, step: int, cut: Cut) -> Clips:
        """The batch of a step, the same whenever it is asked for."""
        rng = np.random.default_rng((self._seed, step))
        first = step // self._pace
        for number in [n for n in self._blocks if n < first]:
            del self._blocks[number]
        made = [_cut_clip(rng, self._block(first + int(rng.integers(self._window))), cut) for _ in range(cut.clips)]
        images, masks, times = (np.stack(parts) for parts in zip(*made, strict=True))
        return Clips(images, masks, times)

    def close(self) -> None:
        """Generate nothing more."""
        if self._coming is not None:
            self._coming.close()
            self._coming = None

    def _block(self, number: int) -> _Block:
        """One block. Those before it come first; the one after it is begun, so that it is there when it is needed."""
        if number not in self._blocks and (self._coming is None or number < self._next):
            self.close()
            numbers = count(number)
            tasks = (_BlockTask(self._seed, one, self._size, self._presets) for one in numbers)
            self._coming, self._next = self._executor.run(_generate, tasks), number
        while number not in self._blocks:
            assert self._coming is not None
            self._blocks[self._next] = result_of(next(self._coming))
            self._next += 1
        return self._blocks[number]


@contextmanager
def open_source(seed: int, size: int, presets: tuple[str, ...], window: int, steps_per_block: int) -> Iterator[Source]:
    """Scenes of the presets in turn: `window` blocks of 16, of which one is replaced every `steps_per_block` steps."""
    with closing(Source(seed, size, presets, window, steps_per_block, Processes(1))) as source:
        yield source


def _generate(block: _BlockTask) -> _Block:
    scenes = [
        generate_scene(
            int(np.random.SeedSequence((block.seed, block.number, i)).generate_state(1)[0]),
            _FRAMES,
            block.size,
            _SCENE_OBJECTS,
            preset=block.presets[i % len(block.presets)],
        )
        for i in range(_BLOCK)
    ]
    return _Block(np.stack([s.images for s in scenes]), np.stack([s.labels for s in scenes]))


def _cut_clip(
    rng: np.random.Generator, block: _Block, cut: Cut
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
    scene = int(rng.integers(_BLOCK))
    labels = block.labels[scene]
    frames, ids = _pick_frames(rng, labels, cut)
    images = block.images[scene, frames]
    masks = labels[None, frames] == ids[:, None, None, None]  # [K, T, S, S]
    other = (scene + 1 + int(rng.integers(_BLOCK - 1))) % _BLOCK
    for t in range(1, cut.frames):
        if rng.random() < cut.cuts:
            images[t] = block.images[other, frames[t]]
            masks[:, t] = False
    if rng.random() < cut.shift:
        for t in range(cut.frames):
            images[t], masks[:, t] = _moved(rng, images[t], masks[:, t])
    if rng.random() < 0.5:
        images, masks = images[:, :, ::-1], masks[..., ::-1]
    return _recoloured(rng, images), masks, frames


def _pick_frames(
    rng: np.random.Generator, labels: NDArray[np.uint8], cut: Cut
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Frames in order, or backwards, and objects that are seen well on the first of them."""
    for _ in range(20):
        gaps = np.floor(np.exp(rng.uniform(0, np.log(cut.longest + 1), cut.frames - 1))).astype(np.int64)
        gaps = np.clip(gaps, 1, (_FRAMES - 1) // max(1, cut.frames - 1))
        start = int(rng.integers(_FRAMES - gaps.sum()))
        frames = start + np.concatenate([[0], np.cumsum(gaps)]).astype(np.int64)
        if rng.random() < 0.5:
            frames = frames[::-1].copy()
        areas = np.bincount(labels[frames[0]].ravel(), minlength=_SCENE_OBJECTS + 1)[1:]
        seen = 1 + np.flatnonzero(areas > 0.01 * labels[0].size)
        if len(seen) >= OBJECTS:
            return frames, rng.choice(seen, OBJECTS, replace=False).astype(np.uint8)
    # All objects are seen on a scene's first frame.
    return np.arange(cut.frames), 1 + rng.choice(_SCENE_OBJECTS, OBJECTS, replace=False).astype(np.uint8)


def _moved(
    rng: np.random.Generator, image: NDArray[np.uint8], masks: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Move a frame at random, without moving any object out of it; what comes in is the frame's own mirror image."""
    size = image.shape[0]
    reach = round(_SHIFT * size / 128)
    dy, dx = rng.integers(-reach, reach + 1, 2)
    rows = np.flatnonzero(masks.any(axis=(0, 2)))
    columns = np.flatnonzero(masks.any(axis=(0, 1)))
    if rows.size:
        dy = int(np.clip(dy, -rows[0], size - 1 - rows[-1]))
        dx = int(np.clip(dx, -columns[0], size - 1 - columns[-1]))
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    image = padded[reach - dy : reach - dy + size, reach - dx : reach - dx + size]
    return image, np.roll(masks, (dy, dx), axis=(1, 2))  # what is rolled over the border is empty


def _recoloured(rng: np.random.Generator, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Another brightness, contrast and white balance for the whole clip; now and then other channels or grey."""
    if rng.random() < 0.1:
        images = np.repeat(images.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    elif rng.random() < 0.3:
        images = images[..., rng.permutation(3)]
    gain = np.exp(rng.uniform(-0.25, 0.25) + rng.uniform(-0.12, 0.12, 3))
    ramp = np.clip(np.arange(256)[:, None] * gain + rng.uniform(-20, 20), 0, 255).astype(np.uint8)  # [256, 3]
    return np.stack([ramp[images[..., c], c] for c in range(3)], axis=-1)
