"""Tracking one object through one video again and again, under any decisions about its memory, and nothing twice.

The network is frozen, so a frame's result follows from the bank that it is predicted under. A memory's identity is its
frame and the identities of the bank under which it was computed; (t, set of identities) then names a prediction
exactly. Where agents decide the output too, a state is a prediction and the output that was chosen from it, and so is a
memory's identity. Where pointers are those of the last frames, the state before belongs to a prediction's identity.
The simulator predicts each once and keeps what it gave: rollouts that come to the same state share it.

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

from sam2rl_tracker.agents.action import (
    CAPACITY,
    CONTROLS,
    DISCARD,
    OLDEST,
    OUTPUTS,
    POINTERS,
    Space,
    act,
)
from sam2rl_tracker.engine import (
    MAX_POINTERS,
    Arithmetic,
    Candidates,
    Engine,
    Features,
    FixedShape,
    FrameRecord,
    Masks,
    MemorySelection,
)
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.overlaps import areas, batch_overlaps
from sam2rl_tracker.policies.bank import bank_selection

_Item = TypeVar("_Item")

State = int
"""Frame t as predicted under a bank, with an output: number of the prediction x number of outputs + the output."""

INSERT = OLDEST
"""What stands for all that insert into the memory while the bank is not full."""

_NONE: State = -1


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
class _Kept:
    """What an output left behind, for as long as it is kept.

    Attributes:
        record: With a memory once the output has been stored in a bank.
        logits: [4h, 4w] from which a memory can be encoded; None when that was done.
    """

    record: FrameRecord
    logits: Tensor | None


@dataclass(eq=False, slots=True)
class _Node:
    """A frame as predicted under a bank, and what is kept of it. Tensors may be dropped and computed again.

    Attributes:
        frame: Which one.
        bank: The states that it was predicted under, oldest first.
        before: The state before, from which on backwards pointers were attended to; `_NONE` if that does not matter.
        rewards: Of each output: the frame's quality over the number of scored frames.
        score: The object score, a logit.
        kept: What each output left behind; None when dropped.
        used: The epoch in which it was last used.
    """

    frame: int
    bank: tuple[State, ...]
    before: State
    rewards: list[float]
    score: float
    kept: list[_Kept] | None = None
    used: int = 0


_Asked = tuple[tuple[State, ...], State]  # what a frame is predicted under: a bank, and the state before


@dataclass
class Counters:
    """How much was asked for and how much of it was computed.

    Attributes:
        steps: Transitions asked for.
        evaluated: Predictions, each for the first time. All outputs of one are one.
        recomputed: Predictions made again because they had been dropped.
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
        pointers: Whose object pointers a frame attends to, beside the prompted frame's: "stored", those of the stored
            frames (SAM2RL; also True); "recent", those of the last fifteen frames (SAM 2); False, none at all.
        rows: States computed in one batch: 1 or a multiple of 4. Results depend on it in their last bits. Higher values
            are faster where many new states are asked for at once, and slower, by padding, where few are.
        store_mb: Memory for what may be computed again, in MB; within an iteration it may grow to twice as much.
            Rewards are kept for good. Higher values compute less again.
        memoise: False predicts every step anew, to measure what memoisation saves.
        control: What actions decide: "memory", "output" or "both". See `agents.action.Space`.
        features: The clip's images as the engine encoded them; None = encode them.

    Raises:
        Sam2rlError: A parameter is out of range, or the store is too small for one batch.
    """

    def __init__(
        self,
        engine: Engine,
        clip: Clip,
        capacity: int = CAPACITY,
        pointers: str | bool = True,
        rows: int = 16,
        store_mb: float = 512,
        memoise: bool = True,
        control: str = "memory",
        features: Sequence[Features] | None = None,
    ):
        if not math.isfinite(store_mb):
            raise Sam2rlError(f"A store of {store_mb:g} MB is none: give a finite size.")
        if not 1 <= capacity <= CAPACITY:
            raise Sam2rlError(f"A bank holds 1 to {CAPACITY} memories beside the prompted frame, not {capacity}.")
        if rows != 1 and rows % 4:
            raise Sam2rlError(f"{rows} rows would make states depend on their batches: give 1 or a multiple of 4.")
        if control not in CONTROLS or pointers not in (*POINTERS, True, False):
            raise Sam2rlError(
                f"Control {control!r} with pointers {pointers!r} cannot be simulated: give one of "
                f"{', '.join(CONTROLS)}, and one of {', '.join(POINTERS)}."
            )
        self.clip = clip
        self.capacity = capacity
        self.space = Space(control, capacity)
        self._decisions = [self.space.decision(action) for action in range(self.space.size)]
        self.counters = Counters()
        self._memoise = memoise
        self._engine = engine
        self._outputs = OUTPUTS if self.space.decides_output else 1
        self._with_pointers, self._recent_pointers = bool(pointers), pointers == "recent"
        self._span = min(len(clip), MAX_POINTERS)
        most = self._span if self._recent_pointers else capacity + 1
        self._shape = FixedShape(rows, capacity + 1, most if pointers else 0)
        self._features = features or [engine.encode_image(image) for image in clip.images]
        device = engine.device
        self._truth = torch.from_numpy(clip.masks).to(device)
        self._ignored = None if clip.ignored is None else torch.from_numpy(clip.ignored).to(device)
        scored = clip.known.copy()
        scored[0] = clip.start_counts
        self._weight = scored / scored.sum()  # [T], of a frame's quality in the video's

        self._nodes: list[_Node] = []
        self._numbers: dict[tuple[int, _Asked], int] = {}
        self._epoch = 0
        self._live = 0  # nodes with tensors, at most
        self._prompted = self._prompt()
        self._store_mb = store_mb
        bytes_each = self._prompted_bytes() * self._outputs
        self._store = int(store_mb * 2**20 / bytes_each)  # nodes with tensors
        if self._store < rows * (capacity + 2):
            needed = rows * (capacity + 2) * bytes_each / 2**20
            raise Sam2rlError(
                f"A store of {store_mb:g} MB is too small for one batch of {rows} states: it needs {needed:.1f} MB."
            )

    def with_pointers(self, pointers: str) -> Simulator:
        """A new simulator of the same clip, under other pointers. Images are not encoded again."""
        rows, control = self._shape.rows, self.space.control
        kept = (rows, self._store_mb, self._memoise, control, self._features)
        return Simulator(self._engine, self.clip, self.capacity, pointers, *kept)

    @cached_property
    def identity(self) -> str:
        """16 hex digits of all that its results follow from: images, truth, model, bank."""
        clip = self.clip
        digest = hashlib.sha256(f"{self._engine.model.hash} {self.capacity} {self._with_pointers}".encode())
        for image in clip.images:
            digest.update(np.ascontiguousarray(image).tobytes())
        for part in (clip.masks, clip.known, clip.ignored, np.array(clip.start_counts)):
            digest.update(b"-" if part is None else np.packbits(part).tobytes())
        return digest.hexdigest()[:16]

    @property
    def arithmetic(self) -> Arithmetic:
        """What states are predicted in: results follow from it, too."""
        return Arithmetic.of(self._engine)

    # --------------------------------------------------------------------------------------------- rollouts

    @property
    def decisions(self) -> int:
        """Actions in an episode: after frames 1 to T-2."""
        return len(self.clip) - 2

    @property
    def pointers(self) -> str:
        """Whose object pointers a frame attends to: one of `agents.action.POINTERS`."""
        return "recent" if self._recent_pointers else "stored"

    @property
    def has_sam2(self) -> bool:
        """Whether SAM 2's own rule is among what actions express: `Space.sam2` after every frame is that rule."""
        return self._recent_pointers and self.capacity == CAPACITY

    def start(self) -> State:
        """Frame 1, predicted from the prompted frame alone, with the output that SAM 2 chooses."""
        return self._evaluate(1, [((), _NONE)])[0] * self._outputs

    def step(self, states: Sequence[State], actions: Sequence[int]) -> list[State]:
        """Apply an action in each state, all at the same frame, and predict the next frame.

        Raises:
            ValueError: States of different frames, the last frame, or an action that does not exist.
        """
        frames = {self.frame(state) for state in states}
        if len(frames) != 1 or (t := frames.pop()) >= len(self.clip) - 1:
            raise ValueError("states must all be at the same frame, and not at the last one")
        if not all(0 <= action < self.space.size for action in actions):
            raise ValueError(f"actions are 0 to {self.space.size - 1}")
        decisions = [self._decisions[action] for action in actions]
        asked = [
            (act(self._node(state).bank, state, decision.memory, self.capacity), self._before(state))
            for state, decision in zip(states, decisions, strict=True)
        ]
        if self._live > 2 * self._store:
            self.trim()
        start = time.perf_counter()
        after = self._evaluate(t + 1, asked)
        self.counters.seconds += time.perf_counter() - start
        self.counters.steps += len(asked)
        return [number * self._outputs + decision.output for number, decision in zip(after, decisions, strict=True)]

    def frame(self, state: State) -> int:
        """The frame that a state has predicted."""
        return self._node(state).frame

    def bank(self, state: State) -> tuple[int, ...]:
        """The frames stored while a state's frame was predicted, oldest first, without the prompted one."""
        return tuple(self.frame(stored) for stored in self._node(state).bank)

    def reward(self, state: State) -> float:
        """The quality of the state's output, over the number of scored frames; 0 where the truth is unknown.

        Frame 1's includes what the given frame adds, if that is scored.
        """
        return self._node(state).rewards[state % self._outputs]

    def distinct(self, state: State, action: int) -> int:
        """The action that stands for all that lead from a state where this one leads: see `INSERT`."""
        decision = self._decisions[action]
        if decision.memory == DISCARD or len(self._node(state).bank) == self.capacity:
            return action
        return self.space.action(replace(decision, memory=INSERT))

    def successors(self, state: State) -> list[int]:
        """One action for each distinct state that can follow, in their order."""
        if len(self._node(state).bank) == self.capacity:
            return list(range(self.space.size))
        return [action for action, decision in enumerate(self._decisions) if decision.memory in (DISCARD, INSERT)]

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
        node = self._node(state)
        if node.kept is not None and node.kept[state % self._outputs].logits is None:
            node.kept = None  # a memory was encoded and the logits dropped: predict it again
        self._require([(state, False)])
        logits = self._kept(state).logits
        assert logits is not None
        size = (self.clip.masks.shape[1], self.clip.masks.shape[2])
        return (self._engine.video_logits(logits[None], size) > 0)[0].cpu().numpy()

    def trim(self) -> None:
        """Drop what has not been used for longest, down to the size of the store.

        Called between iterations, and by `step` when twice as much is there.
        """
        kept = [node for node in self._nodes if node.kept is not None]
        excess = len(kept) - self._store
        if excess > 0:
            for node in sorted(kept, key=lambda node: node.used)[:excess]:
                node.kept = None
        self._live = min(len(kept), self._store)
        self._epoch += 1

    # ------------------------------------------------------------------------------------------- evaluation

    def _node(self, state: State) -> _Node:
        return self._nodes[state // self._outputs]

    def _kept(self, state: State) -> _Kept:
        kept = self._node(state).kept
        assert kept is not None
        return kept[state % self._outputs]

    def _before(self, state: State) -> State:
        """A state as what comes before another: its pointer, and those further back, may take part."""
        return state if self._recent_pointers else _NONE

    def _way_back(self, before: State) -> list[State]:
        """The states whose pointers a prediction attends to, newest first, where they are those of the last frames."""
        states: list[State] = []
        while before != _NONE and len(states) < self._span - 1:
            states.append(before)
            before = self._node(before).before
        return states

    def _evaluate(self, t: int, asked: Sequence[_Asked]) -> list[int]:
        """The nodes of frame t under what is asked; those that are not known yet are predicted in batches."""
        if self._memoise:
            new = [each for each in dict.fromkeys(asked) if (t, each) not in self._numbers]
        else:
            new = list(asked)
        first = len(self._nodes)
        self._require([need for each in new for need in self._needs(each)])
        for batch in self._batches(new):
            for (bank, before), (kept, score, rewards) in zip(batch, self._predict(t, batch), strict=True):
                self._numbers[t, (bank, before)] = len(self._nodes)
                self._nodes.append(_Node(t, bank, before, rewards, score, kept, self._epoch))
            self.counters.evaluated += len(batch)
            self._live += len(batch)
        if not self._memoise:
            return list(range(first, len(self._nodes)))
        return [self._numbers[t, each] for each in asked]

    @torch.inference_mode()
    def _predict(self, t: int, asked: Sequence[_Asked]) -> list[tuple[list[_Kept], float, list[float]]]:
        """What each output of frame t leaves, the object score, and each output's reward; at most one batch."""
        engine, count, outputs = self._engine, len(asked), self._outputs
        selections = [self._select(t, each) for each in asked]
        padded = selections + selections[:1] * (self._shape.rows - count)
        candidates = engine.predict(self._features[t], padded, self._shape)
        picks, visible = self._choices(candidates)
        rows = torch.arange(len(padded), device=engine.device).repeat_interleave(outputs)
        chosen = engine.choose(candidates, rows, picks, visible)
        masks = engine.video_logits(chosen.logits, self._features[t].video_size) > 0  # [rows * outputs, h, w]
        overlaps = batch_overlaps(masks, self._truth[t], None if self._ignored is None else self._ignored[t])
        table = torch.stack([overlaps, candidates.ious[rows, picks], chosen.object_scores, areas(masks).float()])
        host = table.T.tolist()
        # Records keep views of their batch: a small copy for each would fragment the heap by gigabytes.
        kept = [
            _Kept(FrameRecord(t, None, chosen.pointers[i], host[i][1], host[i][2], int(host[i][3])), chosen.logits[i])
            for i in range(count * outputs)
        ]
        given = float(self._weight[0]) if t == 1 else 0.0
        rewards = [float(line[0] * self._weight[t]) + given for line in host]
        own = [slice(row * outputs, (row + 1) * outputs) for row in range(count)]
        return [(kept[each], host[each.start][2], rewards[each]) for each in own]

    def _choices(self, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Candidate [rows * outputs] and visibility, bool [rows * outputs], of each output: see `output_of`."""
        best = candidates.ious.argmax(dim=1)
        there = candidates.object_scores > 0
        if self._outputs == 1:
            return best, there
        order = candidates.ious.sort(dim=1, descending=True, stable=True).indices
        places = torch.tensor([0, 0, 1, 2], device=order.device).clamp(max=order.shape[1] - 1)
        always = torch.ones_like(there)
        return order[:, places].flatten(), torch.stack([there, ~there, always, always], dim=1).flatten()

    def _select(self, t: int, asked: _Asked) -> MemorySelection:
        """What frame t attends to."""
        bank, before = asked
        pointers: bool | list[FrameRecord] = self._with_pointers
        if self._recent_pointers:
            pointers = [self._kept(state).record for state in self._way_back(before)]
        return bank_selection(self._prompted, [self._kept(state).record for state in bank], t, self._span, pointers)

    def _needs(self, asked: _Asked) -> list[tuple[State, bool]]:
        """What a prediction attends to: (state, whether its memory) each."""
        bank, before = asked
        return [(state, True) for state in bank] + [(state, False) for state in self._way_back(before)]

    def _require(self, needs: Collection[tuple[State, bool]]) -> None:
        """Make sure that states have their tensors: encode memories, and predict again what was dropped.

        Args:
            needs: (state, whether its memory is needed) each.
        """
        # What was dropped needs the memories of its own bank, whose frames are earlier: all that is missing is
        # gathered first, and then computed frame by frame.
        dropped: set[int] = set()
        bare: set[State] = set()
        waiting = list(dict.fromkeys(needs))
        while waiting:
            state, memory = waiting.pop()
            number = state // self._outputs
            node = self._nodes[number]
            node.used = self._epoch
            if node.kept is None and number not in dropped:
                dropped.add(number)
                waiting += self._needs((node.bank, node.before))
            if memory and (node.kept is None or self._kept(state).record.memory is None):
                bare.add(state)
        frames = {self._nodes[number].frame for number in dropped} | {self.frame(state) for state in bare}
        for t in sorted(frames):
            again = sorted(number for number in dropped if self._nodes[number].frame == t)
            for batch in self._batches(again):
                results = self._predict(t, [(self._nodes[n].bank, self._nodes[n].before) for n in batch])
                for number, (kept, _, _) in zip(batch, results, strict=True):
                    self._nodes[number].kept = kept
                self.counters.recomputed += len(batch)
                self._live += len(batch)
            for states in self._batches(sorted(state for state in bare if self.frame(state) == t)):
                self._encode(t, states)

    def _batches(self, items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
        return (items[start : start + self._shape.rows] for start in range(0, len(items), self._shape.rows))

    @torch.inference_mode()
    def _encode(self, t: int, states: Sequence[State]) -> None:
        """Encode the memories of states of frame t, in one batch of the fixed shape."""
        padded = [*states, *[states[0]] * (self._shape.rows - len(states))]
        logits = torch.stack([self._kept(state).logits for state in padded])  # type: ignore[misc]
        scores = torch.tensor([self._node(state).score for state in padded], device=self._engine.device)
        memories = self._engine.encode_memory(self._features[t], Masks(logits, scores), [False] * len(padded))
        for state, memory in zip(states, memories, strict=False):
            kept = self._kept(state)
            kept.record = replace(kept.record, memory=memory)
            kept.logits = None  # a memory is never encoded twice

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
