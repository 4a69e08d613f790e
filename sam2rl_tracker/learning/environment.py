"""The control of tracking as reinforcement learning environments: candidate, presence and memory on any video.

An episode is one object in one video of T frames: T - 1 decisions, after each of the frames 1 to T - 1. Rewards sum,
undiscounted, to the mean quality of those frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.agent import look_parts_of
from sam2rl_tracker.control.decide import Decision, worth_showing
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import CANDIDATE, FRAME, MEMORY, PAIR, Observation, View
from sam2rl_tracker.engine import Engine, Model, load_model
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.videos import Video, encode
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.workspace import open_workspace

Seen = dict[str, np.ndarray]
CANDIDATES = 3


def observation_space(model: Model) -> spaces.Dict:
    """Of a model: see `Observation`; `held` is 0 or 1."""
    look, memories = look_parts_of(model).size, 1 + CAPACITY
    shapes = {
        "candidates": (CANDIDATES, len(CANDIDATE)),
        "looks": (CANDIDATES, look),
        "past": (3, look),
        "frame": (len(FRAME),),
        "memories": (memories, len(MEMORY)),
        "pairs": (CANDIDATES, memories, len(PAIR)),
        "held": (memories,),
    }
    return spaces.Dict({name: spaces.Box(-np.inf, np.inf, shape, np.float32) for name, shape in shapes.items()})


def as_arrays(seen: Observation) -> Seen:
    """An observation as environments give it, float32 [rows, ...] each."""
    return {name: value.float().cpu().numpy() for name, value in vars(seen).items()}


def as_tensors(seen: dict[str, torch.Tensor]) -> Observation:
    """What `as_arrays` gave, as the network takes it."""
    return Observation(**{name: value > 0.5 if name == "held" else value for name, value in seen.items()})


class TrackingControlEnv(gymnasium.Env[Seen, np.ndarray]):
    """One object in one video: `gymnasium.make("sam2rl/TrackingControl-v0", workspace=W, sequence=S)`.

    Observation: a Dict of `Observation`'s fields, of the frame that was just predicted. Action: MultiDiscrete([3, 2,
    1 + CAPACITY]): the candidate, whether the object is there, and the memory's action: 0 = discard the frame, k = put
    it in place of the k-th oldest stored one. `info["quality"]` of the last step is the mean quality of the frames.

    Args:
        workspace: Folder of the VOT workspace; or give `videos`.
        sequence: Which video of it.
        object_id: Which object.
        model: Which SAM 2, as `load_model` takes it.
        device: Where it runs; None = the best there is.
        videos: Instead, objects to draw one from at each reset, encoded by `engine`.
        engine: Theirs.
    """

    def __init__(
        self,
        workspace: str | None = None,
        sequence: str | None = None,
        object_id: int = 1,
        model: str = "nano",
        device: str | None = None,
        videos: Sequence[Video] = (),
        engine: Engine | None = None,
    ):
        if not videos or engine is None:
            if workspace is None or sequence is None:
                raise ValueError("give a workspace and a sequence, or videos and their engine")
            engine = Engine(load_model(model, device))
            videos = encode(engine, [load_clip(open_workspace(workspace), sequence, object_id)])
        self._engine, self._videos = engine, videos
        self.observation_space: spaces.Dict = observation_space(engine.model)  # type: ignore[assignment]
        self.action_space = spaces.MultiDiscrete([CANDIDATES, 2, 1 + CAPACITY])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        super().reset(seed=seed)
        video = self._videos[int(self.np_random.integers(len(self._videos)))]
        self._rollouts = Rollouts(self._engine, [video])
        self._scored = max(int(video.known[1:].sum()), 1)
        self._quality = 0.0
        return self._predict(), {}

    def step(self, action: np.ndarray) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        candidate, visible, memory = (torch.tensor([int(part)], device=self._engine.device) for part in action)
        view = self._rollouts.view
        presence = view.object_scores.sigmoid()
        quality = view.ious[:, candidate[0]]
        step = self._rollouts.decide(Decision(candidate, visible > 0, presence, quality, memory))
        reward = float(step.reward.nan_to_num(0.0)[0]) / self._scored
        self._quality += reward
        if self._rollouts.done:
            return self._last, reward, True, False, {"quality": self._quality}
        return self._predict(), reward, False, False, {}

    def _predict(self) -> Seen:
        seen = as_arrays(self._rollouts.predict().observation)
        self._last = {name: value[0] for name, value in seen.items()}
        return self._last


class MemoryOfManyVideos(VecEnv):
    """The memory's part of `TrackingControlEnv`, for several rollouts of each of several videos in lockstep.

    Candidate and presence are a network's, which has labels for them. Rewards are relative to the mean of the rollouts
    of the same video at the same frame, times the number of frames.

    Args:
        engine: Of the videos.
        draw: Gives the videos of the next episodes, all of one length.
        network: Decides the output.
        copies: Rollouts of each video.
    """

    render_mode = None

    def __init__(self, engine: Engine, draw: Callable[[], Sequence[Video]], network: ControlNetwork, copies: int):
        self._engine, self._draw, self._network, self._copies = engine, draw, network, copies
        self.quality: list[float] = []  # of the episodes that have ended, a mean each time
        self._begin()
        super().__init__(len(self._rollouts.videos), observation_space(engine.model), spaces.Discrete(1 + CAPACITY))

    @property
    def frames(self) -> int:
        """Of the videos that are under way."""
        return self._rollouts.frames

    def _begin(self) -> None:
        videos = self._draw()
        self._rollouts = Rollouts(self._engine, [video for video in videos for _ in range(self._copies)])
        self._rewards: list[torch.Tensor] = []
        self._predict()

    def _predict(self) -> None:
        self._view: View = self._rollouts.predict()
        with torch.inference_mode():
            self._judged = self._network(self._view.observation)
        self._observation = as_arrays(self._view.observation)

    def reset(self) -> Seen:
        self._begin()
        return self._observation

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = torch.from_numpy(np.asarray(actions)).long().to(self._engine.device)

    def step_wait(self) -> VecEnvStepReturn:
        judged = self._judged
        picks = judged.quality.argmax(dim=1)
        presence, quality = judged.presence.sigmoid(), judged.quality.sigmoid().amax(dim=1)
        decision = Decision(picks, worth_showing(presence, quality), presence, quality, self._actions)
        reward = self._rollouts.decide(decision).reward.nan_to_num(0.0)
        self._rewards.append(reward)
        grouped = reward.view(-1, self._copies)
        relative = (grouped - grouped.mean(dim=1, keepdim=True)).flatten().cpu().numpy()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = self._rollouts.done
        if done:
            self.quality.append(float(torch.stack(self._rewards).mean()))
            last = self._observation
            for row, info in enumerate(infos):
                info.update(
                    {"terminal_observation": {k: v[row] for k, v in last.items()}, "TimeLimit.truncated": False}
                )
            self._begin()
        else:
            self._predict()
        return self._observation, relative, np.full(self.num_envs, done), infos

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **keywords: Any) -> list[Any]:
        raise NotImplementedError("the rollouts share one batch: there is no environment of their own to call")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))
