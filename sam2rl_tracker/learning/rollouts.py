"""Rollouts of many objects of many videos in lockstep: a frame of all of them is predicted in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY, act
from sam2rl_tracker.control.decide import Decision, advance
from sam2rl_tracker.control.observation import Observation, View, view
from sam2rl_tracker.control.state import Seen, State, begin
from sam2rl_tracker.engine import Candidates, Engine, Features, FrameRecord, Masks
from sam2rl_tracker.engine.operations import resize
from sam2rl_tracker.engine.types import MAX_POINTERS
from sam2rl_tracker.learning.videos import Video
from sam2rl_tracker.policies.bank import bank_selection

BATCH = 32
"""Rows predicted at once."""


@dataclass(frozen=True, eq=False)
class Step:
    """One frame of all rows.

    Attributes:
        seen: What an agent sees.
        ious: [rows, K] of the candidates with the truth; nan where that is unknown, 0 where the object is absent.
        present: [rows] 1 where the object is there, 0 where not, nan where unknown.
        reward: [rows] the quality of the output; nan where the truth is unknown.
        decision: What was done.
    """

    seen: Observation
    ious: Tensor
    present: Tensor
    reward: Tensor
    decision: Decision


Decide = Callable[[View, State], Decision]


class Rollouts:
    """Objects of videos, each tracked by decisions of its own. All go on until the longest video ends.

    A shorter video's last frame is repeated until then, and its truth there is unknown: nothing is learned from it.

    Args:
        engine: Batched, not exact.
        videos: One per row; a video may stand in several rows.
    """

    def __init__(self, engine: Engine, videos: Sequence[Video]):
        self._engine = engine
        self.videos = list(videos)
        self.frames = max(len(video) for video in videos)
        self.t = 0
        self.banks: list[tuple[FrameRecord, ...]] = [()] * len(videos)
        self.state = begin(Seen.join([video.first for video in videos]))

    @property
    def done(self) -> bool:
        return self.t == self.frames - 1

    def copy(self, rows: Sequence[int]) -> Rollouts:
        """Some of the rows after `predict`, in the order given, to go on with apart; a row may stand there twice."""
        other = Rollouts(self._engine, [self.videos[row] for row in rows])
        other.frames, other.t = self.frames, self.t
        other.banks = [self.banks[row] for row in rows]
        other.state = self.state.take(rows)
        other._candidates, other.view = self._candidates.take(rows), self.view.take(rows)
        return other

    def step(self, decide: Decide) -> Step:
        """Predict the next frame of every row, and do as is decided."""
        with torch.inference_mode():
            return self.decide(decide(self.predict(), self.state))

    @torch.inference_mode()
    def predict(self) -> View:
        """Predict the next frame of every row; `decide` goes on from there."""
        self.t += 1
        parts = [self._predict(slice(start, start + BATCH)) for start in range(0, len(self.videos), BATCH)]
        self._candidates = candidates = Candidates.join([part for part, _ in parts])
        views = [seen for _, seen in parts]
        self.view = View(
            Observation.join([one.observation for one in views]),
            Seen.join([one.seen for one in views]),
            candidates.ious,
            candidates.object_scores,
        )
        return self.view

    @torch.inference_mode()
    def decide(self, decision: Decision) -> Step:
        """Do as is decided with the frame that was predicted."""
        step = self._judge(self._candidates, self.view, decision)
        self._remember(self._candidates, self.view, decision)
        return step

    def _predict(self, rows: slice) -> tuple[Candidates, View]:
        engine, t = self._engine, self.t
        videos = self.videos[rows]
        features = stack([video.features[video.at(t)] for video in videos])
        selections = [
            bank_selection(video.prompted, bank, t, min(len(video), MAX_POINTERS))
            for video, bank in zip(videos, self.banks[rows], strict=True)
        ]
        candidates = engine.predict(features, selections, keep_maps=True)
        pointers = engine.project_pointers(candidates.tokens)
        return candidates, view(features, candidates, pointers, self.state.take(rows))

    def _judge(self, candidates: Candidates, seen: View, decision: Decision) -> Step:
        t = self.t
        ious, present = [], []
        for start in range(0, len(self.videos), BATCH):
            videos = self.videos[start : start + BATCH]
            masks = resize(candidates.logits[start : start + BATCH], self._engine.input_size) > 0
            truth = torch.stack([video.truth[video.at(t)] for video in videos])[:, None]
            nothing = truth.new_zeros(truth.shape[-2:])
            ignored = [nothing if video.ignored is None else video.ignored[video.at(t)] for video in videos]
            counts = ~torch.stack(ignored)[:, None]
            both, either = (masks & truth & counts).sum(dim=(2, 3)), ((masks | truth) & counts).sum(dim=(2, 3))
            ious.append(both / either.clamp(min=1))
            present.append(truth.flatten(1).any(dim=1))
        overlap, there = torch.cat(ious), torch.cat(present)
        rows = torch.arange(len(there), device=there.device)
        reward = torch.where(there, overlap[rows, decision.picks] * decision.visible, (~decision.visible).float())
        known = torch.tensor([video.is_known(t) for video in self.videos], device=there.device)
        unknown = torch.full_like(reward, torch.nan)
        return Step(
            seen=seen.observation,
            ious=torch.where(known[:, None], overlap, unknown[:, None]),
            present=torch.where(known, there.float(), unknown),
            reward=torch.where(known, reward, unknown),
            decision=decision,
        )

    def _remember(self, candidates: Candidates, seen: View, decision: Decision) -> None:
        engine, t = self._engine, self.t
        rows = torch.arange(len(self.videos), device=engine.device)
        chosen = engine.choose(candidates, rows, decision.picks, decision.visible)
        actions = decision.action.tolist()
        ious, scores = candidates.ious[rows, decision.picks].tolist(), candidates.object_scores.tolist()
        stored = [row for row, action in enumerate(actions) if action > 0]
        for start in range(0, len(stored), BATCH):
            part = stored[start : start + BATCH]
            features = stack([self.videos[row].features[self.videos[row].at(t)] for row in part])
            masks = Masks(chosen.logits[part], chosen.object_scores[part])
            for row, memory in zip(part, engine.encode_memory(features, masks, [False] * len(part)), strict=True):
                record = FrameRecord(t, memory.clone(), chosen.pointers[row].clone(), ious[row], scores[row], 0)
                self.banks[row] = act(self.banks[row], record, actions[row], CAPACITY)
        self.state = advance(self.state, seen, decision)


def stack(features: Sequence[Features]) -> Features:
    """Images in one batch: a row each."""
    if all(one is features[0] for one in features):
        return features[0]
    first = features[0]
    return replace(
        first,
        map=torch.cat([one.map for one in features]),
        query=torch.cat([one.query for one in features]),
        high_res=tuple(torch.cat(level) for level in zip(*(one.high_res for one in features), strict=True)),
    )
