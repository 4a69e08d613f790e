"""Tracking one object through one video again and again, under any decisions about its memory, and nothing twice.

The network is frozen, so a frame's result follows from the bank that it is predicted under. A memory's identity is its
frame and the identities of the bank under which it was computed; (t, set of identities) then names a state exactly. The
simulator evaluates each state once and keeps what it gave: rollouts that come to the same state share it.

All rows of a batch are computed at one fixed shape. A state's bits therefore do not depend on which others are computed
beside it, on the order of rollouts, or on whether its memory was dropped in between and computed again.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY, DISCARD, OLDEST, act
from sam2rl_tracker.engine import MAX_POINTERS, Engine, FixedShape, FrameRecord, Masks
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.overlaps import areas, batch_overlaps
from sam2rl_tracker.policies.bank import bank_selection

_Item = TypeVar("_Item")

State = int
"""A state is the number of the node that it led to: frame t as predicted under a bank."""

INSERT = OLDEST
"""The action that stands for all that insert while the bank is not full."""


@dataclass(frozen=True)
class Rollout:
    """A way through a whole video.

    Attributes:
        states: From frame 1 to the last frame.
        actions: The one after each state but the last. While the bank is not full, `INSERT` stands for all that insert.
    """

    states: list[State]
    actions: list[int]


@dataclass(eq=False, slots=True)
class _Node:
    """A frame as predicted under a bank, and what is kept of it. Tensors may be dropped and computed again.

    Attributes:
        frame: Which one.
        bank: The nodes that it was predicted under, oldest first.
        reward: The frame's quality over the number of scored frames.
        score: The object score, a logit.
        record: What the frame left behind, with a memory once the node has been stored in a bank; None when dropped.
        logits: [4h, 4w] of the output, from which a memory can be encoded; None when dropped, or no longer needed.
        used: The epoch in which it was last used.
    """

    frame: int
    bank: tuple[int, ...]
    reward: float
    score: float
    record: FrameRecord | None = None
    logits: Tensor | None = None
    used: int = 0


@dataclass
class Counters:
    """How much was asked for and how much of it was computed.

    Attributes:
        steps: Transitions asked for.
        evaluated: States predicted for the first time.
        recomputed: States predicted again because they had been dropped.
        seconds: Spent in steps.
    """

    steps: int = 0
    evaluated: int = 0
    recomputed: int = 0
    seconds: float = 0.0

    @property
    def reuse(self) -> float:
        """Share of the steps that needed no prediction."""
        return 1 - (self.evaluated + self.recomputed) / self.steps if self.steps else 0.0


class Simulator:
    """Steps rollouts of one clip.

    Args:
        engine: Batched, not exact.
        clip: Video and truth.
        capacity: Memories beside the prompted frame, 1 to 6.
        pointers: Whether object pointers take part (SAM2RL: those of the stored frames).
        rows: States computed in one batch: 1 or a multiple of 4. Results depend on it in their last bits. Higher values
            are faster where many new states are asked for at once, and slower, by padding, where few are.
        store_mb: Memory for what may be computed again, in MB; within an iteration it may grow to twice as much.
            Rewards are kept for good. Higher values compute less again.
        memoise: False predicts every step anew, to measure what memoisation saves.

    Raises:
        Sam2rlError: A parameter is out of range, or the store is too small for one batch.
    """

    def __init__(
        self,
        engine: Engine,
        clip: Clip,
        capacity: int = CAPACITY,
        pointers: bool = True,
        rows: int = 16,
        store_mb: float = 512,
        memoise: bool = True,
    ):
        if not math.isfinite(store_mb):
            raise Sam2rlError(f"A store of {store_mb:g} MB is none: give a finite size.")
        if not 1 <= capacity <= CAPACITY:
            raise Sam2rlError(f"A bank holds 1 to {CAPACITY} memories beside the prompted frame, not {capacity}.")
        if rows != 1 and rows % 4:
            raise Sam2rlError(f"{rows} rows would make states depend on their batches: give 1 or a multiple of 4.")
        self.clip = clip
        self.capacity = capacity
        self.counters = Counters()
        self._memoise = memoise
        self._engine = engine
        self._pointers = pointers
        self._span = min(len(clip), MAX_POINTERS)
        self._shape = FixedShape(rows, capacity + 1, capacity + 1 if pointers else 0)
        self._features = [engine.encode_image(image) for image in clip.images]
        device = engine.device
        self._truth = torch.from_numpy(clip.masks).to(device)
        self._ignored = None if clip.ignored is None else torch.from_numpy(clip.ignored).to(device)
        scored = clip.known.copy()
        scored[0] = clip.start_counts
        self._weight = scored / scored.sum()  # [T], of a frame's quality in the video's

        self._nodes: list[_Node] = []
        self._numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        self._epoch = 0
        self._live = 0  # nodes with tensors, at most
        self._prompted = self._prompt()
        bytes_each = self._prompted_bytes()
        self._store = int(store_mb * 2**20 / bytes_each)  # nodes with tensors
        if self._store < rows * (capacity + 2):
            needed = rows * (capacity + 2) * bytes_each / 2**20
            raise Sam2rlError(
                f"A store of {store_mb:g} MB is too small for one batch of {rows} states: it needs {needed:.1f} MB."
            )

    @cached_property
    def identity(self) -> str:
        """16 hex digits of all that its results follow from: images, truth, model, bank."""
        clip = self.clip
        digest = hashlib.sha256(f"{self._engine.model.hash} {self.capacity} {self._pointers}".encode())
        for image in clip.images:
            digest.update(np.ascontiguousarray(image).tobytes())
        for part in (clip.masks, clip.known, clip.ignored, np.array(clip.start_counts)):
            digest.update(b"-" if part is None else np.packbits(part).tobytes())
        return digest.hexdigest()[:16]

    # --------------------------------------------------------------------------------------------- rollouts

    @property
    def decisions(self) -> int:
        """Actions in an episode: after frames 1 to T-2."""
        return len(self.clip) - 2

    def start(self) -> State:
        """Frame 1, predicted from the prompted frame alone."""
        return self._evaluate(1, [()])[0]

    def step(self, states: Sequence[State], actions: Sequence[int]) -> list[State]:
        """Apply an action in each state, all at the same frame, and predict the next frame.

        Raises:
            ValueError: States of different frames, the last frame, or an action that does not exist.
        """
        frames = {self._nodes[state].frame for state in states}
        if len(frames) != 1 or (t := frames.pop()) >= len(self.clip) - 1:
            raise ValueError("states must all be at the same frame, and not at the last one")
        if not all(0 <= action <= self.capacity for action in actions):
            raise ValueError(f"actions are 0 to {self.capacity}")
        banks = [
            act(self._nodes[state].bank, state, action, self.capacity)
            for state, action in zip(states, actions, strict=True)
        ]
        if self._live > 2 * self._store:
            self.trim()
        start = time.perf_counter()
        after = self._evaluate(t + 1, banks)
        self.counters.seconds += time.perf_counter() - start
        self.counters.steps += len(banks)
        return after

    def frame(self, state: State) -> int:
        """The frame that a state has predicted."""
        return self._nodes[state].frame

    def bank(self, state: State) -> tuple[int, ...]:
        """The frames stored while a state's frame was predicted, oldest first, without the prompted one."""
        return tuple(self._nodes[number].frame for number in self._nodes[state].bank)

    def reward(self, state: State) -> float:
        """The quality of the state's frame, over the number of scored frames; 0 where the truth is unknown.

        Frame 1's includes what the given frame adds, if that is scored.
        """
        return self._nodes[state].reward

    def distinct(self, state: State, action: int) -> int:
        """The action that stands for all that lead from a state where this one leads: see `INSERT`."""
        return action if action == DISCARD or len(self._nodes[state].bank) == self.capacity else INSERT

    def rollout(self, actions: Iterable[int]) -> list[State]:
        """The states from frame 1 to the last that a list of actions leads through."""
        states = [self.start()]
        for action in actions:
            states += self.step([states[-1]], [action])
        return states

    def quality(self, states: Iterable[State]) -> float:
        """The video's quality: the sum of rewards along a whole rollout."""
        return sum(self.reward(state) for state in states)

    def output(self, state: State) -> np.ndarray:
        """The state's mask, bool [h, w]."""
        self._require([state], memories=False)
        logits = self._nodes[state].logits
        assert logits is not None
        size = (self.clip.masks.shape[1], self.clip.masks.shape[2])
        return (self._engine.video_logits(logits[None], size) > 0)[0].cpu().numpy()

    def trim(self) -> None:
        """Drop what has not been used for longest, down to the size of the store.

        Called between iterations, and by `step` when twice as much is there.
        """
        kept = [node for node in self._nodes if node.record is not None or node.logits is not None]
        excess = len(kept) - self._store
        if excess > 0:
            for node in sorted(kept, key=lambda node: node.used)[:excess]:
                node.record = node.logits = None
        self._live = min(len(kept), self._store)
        self._epoch += 1

    # ------------------------------------------------------------------------------------------- evaluation

    def _evaluate(self, t: int, banks: Sequence[tuple[int, ...]]) -> list[State]:
        """States of frame t under banks; those that are not known yet are predicted in batches."""
        if self._memoise:
            new = [bank for bank in dict.fromkeys(banks) if (t, bank) not in self._numbers]
        else:
            new = list(banks)
        first = len(self._nodes)
        self._require({number for bank in new for number in bank}, memories=True)
        for batch in self._batches(new):
            for bank, (record, logits, reward) in zip(batch, self._predict(t, batch), strict=True):
                self._numbers[t, bank] = len(self._nodes)
                self._nodes.append(_Node(t, bank, reward, record.object_score, record, logits, self._epoch))
            self.counters.evaluated += len(batch)
            self._live += len(batch)
        if not self._memoise:
            return list(range(first, len(self._nodes)))
        return [self._numbers[t, bank] for bank in banks]

    @torch.inference_mode()
    def _predict(self, t: int, banks: Sequence[tuple[int, ...]]) -> list[tuple[FrameRecord, Tensor, float]]:
        """Record (without a memory), logits and reward of frame t under each bank; at most one batch."""
        engine, count = self._engine, len(banks)
        selections = [
            bank_selection(self._prompted, [self._record(n) for n in bank], t, self._span, self._pointers)
            for bank in banks
        ]
        padded = selections + selections[:1] * (self._shape.rows - count)
        candidates = engine.predict(self._features[t], padded, self._shape)
        picks = candidates.ious.argmax(dim=1)
        rows = torch.arange(len(picks), device=engine.device)
        chosen = engine.choose(candidates, rows, picks, candidates.object_scores > 0)
        masks = engine.video_logits(chosen.logits, self._features[t].video_size) > 0  # [rows, h, w]
        overlaps = batch_overlaps(masks, self._truth[t], None if self._ignored is None else self._ignored[t])
        table = torch.stack([overlaps, candidates.ious[rows, picks], candidates.object_scores, areas(masks).float()])
        host = table.T.tolist()
        # Records keep views of their batch: a small copy for each would fragment the heap by gigabytes.
        return [
            (
                FrameRecord(t, None, chosen.pointers[row], host[row][1], host[row][2], int(host[row][3])),
                chosen.logits[row],
                float(host[row][0] * self._weight[t]) + (float(self._weight[0]) if t == 1 else 0.0),
            )
            for row in range(count)
        ]

    def _record(self, number: int) -> FrameRecord:
        record = self._nodes[number].record
        assert record is not None
        return record

    def _require(self, numbers: Collection[int], memories: bool) -> None:
        """Make sure that nodes have their tensors: encode memories, and predict again what was dropped."""
        for number in numbers:
            self._nodes[number].used = self._epoch
        # What was dropped needs the memories of its own bank, whose frames are earlier: all that is missing is
        # gathered first, and then computed frame by frame.
        missing: set[int] = set()
        waiting = [number for number in numbers if not self._has(number, memories)]
        while waiting:
            number = waiting.pop()
            if number not in missing:
                missing.add(number)
                if self._nodes[number].logits is None:
                    waiting += [n for n in self._nodes[number].bank if not self._has(n, True)]
        for t in sorted({self._nodes[number].frame for number in missing}):
            group = sorted(number for number in missing if self._nodes[number].frame == t)
            for batch in self._batches([number for number in group if self._nodes[number].logits is None]):
                results = self._predict(t, [self._nodes[number].bank for number in batch])
                for number, (record, logits, _) in zip(batch, results, strict=True):
                    self._nodes[number].record, self._nodes[number].logits = record, logits
                self.counters.recomputed += len(batch)
                self._live += len(batch)
            for batch in self._batches([number for number in group if memories or number not in numbers]):
                self._encode(t, batch)

    def _batches(self, items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
        return (items[start : start + self._shape.rows] for start in range(0, len(items), self._shape.rows))

    def _has(self, number: int, memory: bool) -> bool:
        node = self._nodes[number]
        return node.record is not None and node.record.memory is not None if memory else node.logits is not None

    @torch.inference_mode()
    def _encode(self, t: int, numbers: Sequence[int]) -> None:
        """Encode the memories of nodes of frame t, in one batch of the fixed shape."""
        nodes = [self._nodes[number] for number in numbers]
        padded = nodes + nodes[:1] * (self._shape.rows - len(nodes))
        logits = torch.stack([node.logits for node in padded])  # type: ignore[misc]
        scores = torch.tensor([node.score for node in padded], device=self._engine.device)
        memories = self._engine.encode_memory(self._features[t], Masks(logits, scores), [False] * len(padded))
        for node, memory in zip(nodes, memories, strict=False):
            assert node.record is not None
            node.record = replace(node.record, memory=memory)
            node.logits = None  # a memory is never encoded twice

    @torch.inference_mode()
    def _prompt(self) -> FrameRecord:
        features, masks = self._features[0], self.clip.masks[:1]
        chosen = self._engine.prompt_masks(features, masks)
        memory = self._engine.encode_memory(features, chosen, [True])[0]
        return FrameRecord(0, memory, chosen.pointers[0], 1.0, float(chosen.object_scores[0]), int(masks.sum()))

    def _prompted_bytes(self) -> int:
        """Bytes that a stored node takes at most: its pointer, and its logits or its memory."""
        memory, pointer = self._prompted.memory, self._prompted.pointer
        assert memory is not None
        side = self._engine.input_size // 4
        return pointer.nbytes + max(memory.nbytes, 4 * side * side)
