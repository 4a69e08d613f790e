"""PPO on one clip: iterations that can be interrupted at any moment, and the agent that comes of them.

The preset `paper` is SAM2RL's setting (one hidden layer of 1024 units, 16k samples an iteration, 2 epochs, 150
iterations, no discount) with what it leaves open chosen by us, relative rewards among it. The preset `default` explores
around the best rollout known so far, which it gets from a narrow beam at first, and distils it into the policy after
every iteration: one good decision in eighty is otherwise found again and lost again. stable-baselines3 learns.
"""

from __future__ import annotations

import csv
import io
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecMonitor
from torch.utils.tensorboard import SummaryWriter

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.training.environment import MemoryVecEnv, observe
from sam2rl_tracker.training.search import beam_ladder
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator, State

_IMITATION_RATE = 1e-3

_IMITATION_STEPS = 500


@dataclass
class Progress:
    """Where a training stands, after an iteration."""

    iteration: int = 0
    iterations: int = 0
    mean: float = 0.0  # quality of the iteration's rollouts
    best: float = float("-inf")  # quality of the best rollout so far
    greedy: float = 0.0  # quality of the greedy policy
    best_greedy: float = float("-inf")
    sam2: float = float("nan")  # quality of SAM 2's own rule, where it is known
    entropy: float = float("nan")  # of the policy at the iteration's rollouts, nats: log 7 = 1.95 at most
    stale: int = 0  # iterations since the greedy policy was last better
    steps: int = 0  # transitions so far
    evaluated: int = 0  # states predicted so far
    simulating: float = 0.0  # seconds
    learning: float = 0.0  # seconds

    @property
    def reuse(self) -> float:
        return 1 - self.evaluated / self.steps if self.steps else 0.0

    @property
    def speed(self) -> float:
        """Simulated frames per second."""
        return self.steps / self.simulating if self.simulating else 0.0


@dataclass
class Trained:
    """The result: the best greedy policy's weights, and the best rollout's actions."""

    progress: Progress
    tensors: dict[str, np.ndarray]
    best_actions: list[int] = field(default_factory=list)


def train(
    simulator: Simulator,
    settings: Settings,
    folder: Path,
    on_iteration: Callable[[Progress], None] = lambda progress: None,
    sam2: float = float("nan"),
) -> Trained:
    """Train on a simulator; continue from the folder's last finished iteration if there is one.

    The folder gets `checkpoint.pt`, `progress.csv`, `settings.json` and TensorBoard's events.

    Args:
        sam2: quality of SAM 2's own rule, for the record of the progress.

    Raises:
        Sam2rlError: another training is at work in the folder, it was begun with other settings or on another video,
            truth or model, its checkpoint is damaged, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        with lock.acquire(timeout=0):
            return _train(simulator, settings, folder, on_iteration, sam2)
    except Timeout as error:
        raise Sam2rlError(f"another training is at work in {folder}: wait for it, or stop it") from error
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): what was finished is kept") from error


def _train(
    simulator: Simulator, settings: Settings, folder: Path, on_iteration: Callable[[Progress], None], sam2: float
) -> Trained:
    episodes = -(-settings.samples // simulator.decisions)
    if settings.relative and episodes == 1:
        raise Sam2rlError(
            f"samples={settings.samples} is one rollout, and relative rewards need others beside it: give "
            f"{simulator.decisions + 1} or more, or relative=0"
        )
    env = MemoryVecEnv(simulator, episodes, relative=settings.relative)
    model = _make_ppo(env, settings)
    _check_settings(folder, {"subject": simulator.identity, **asdict(settings)})
    progress, trained = _load(folder, model, settings)
    progress.iterations, progress.sam2 = settings.iterations, sam2
    mark = _Mark(simulator)
    if settings.imitation and progress.iteration == 0:
        found = beam_ladder(simulator, settings.beam)
        progress.best, trained.best_actions = found.quality, list(found.actions)
        _distil(model, simulator, trained.best_actions, settings)
    with SummaryWriter(str(folder), purge_step=progress.iteration + 1) as board:
        while progress.iteration < settings.iterations and not _finished(progress, settings):
            # The random state follows from the iteration, so that a training that resumes is the one that went on.
            torch.manual_seed(settings.seed * 1_000_003 + progress.iteration)
            np.random.seed((settings.seed * 1_000_003 + progress.iteration) % 2**32)
            model.learn(episodes * simulator.decisions, reset_num_timesteps=False)
            progress.entropy = -float(model.logger.name_to_value["train/entropy_loss"])
            qualities = [simulator.quality(path) for path in env.episodes]
            if max(qualities) > progress.best:
                progress.best = max(qualities)
                trained.best_actions = _actions(simulator, env.episodes[int(np.argmax(qualities))])
            if settings.imitation:
                _distil(model, simulator, trained.best_actions, settings)
            likeliest = _likeliest(simulator, model)
            progress.greedy = simulator.quality(likeliest)
            if progress.greedy > progress.best:  # a policy that still explores may be better than all it has tried
                progress.best, trained.best_actions = progress.greedy, _actions(simulator, likeliest)
            mark = mark.add_to(progress)
            progress.iteration += 1
            progress.mean = float(np.mean(qualities))
            progress.stale += 1
            if progress.greedy > progress.best_greedy:
                progress.best_greedy, progress.stale = progress.greedy, 0
                trained.tensors = _tensors(model)
            simulator.trim()
            _log(folder, board, progress)  # first: when killed in between, the iteration is done and logged again
            _save(folder, model, progress, trained)
            on_iteration(progress)
    return trained


def _make_ppo(env: MemoryVecEnv, settings: Settings) -> PPO:
    decisions = env.simulator.decisions
    samples = decisions * env.num_envs
    minibatches = max(1, round(samples / settings.batch))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*mini-batch")  # the last one being smaller does no harm
        model = PPO(
            "MlpPolicy",
            VecMonitor(env),
            learning_rate=settings.learning_rate,
            n_steps=decisions,  # whole episodes: nothing to bootstrap at an iteration's end
            batch_size=-(-samples // minibatches),
            n_epochs=settings.epochs,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
            clip_range=settings.clip,
            ent_coef=settings.entropy,
            policy_kwargs={"net_arch": {"pi": [settings.hidden], "vf": [settings.hidden]}},
            seed=settings.seed,
            device="cpu",  # the networks are small; the simulator has its own device
        )
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def _finished(progress: Progress, settings: Settings) -> bool:
    return 0 < settings.patience <= progress.stale


class _Mark:
    """A moment of a training, from which the work done since is counted."""

    def __init__(self, simulator: Simulator):
        counters = simulator.counters
        self._simulator = simulator
        self._counted = (counters.steps, counters.evaluated + counters.recomputed, counters.seconds)
        self._time = time.perf_counter()

    def add_to(self, progress: Progress) -> _Mark:
        """Add steps, predicted states and seconds since this mark; the new mark."""
        now = _Mark(self._simulator)
        steps, evaluated, seconds = (b - a for a, b in zip(self._counted, now._counted, strict=True))
        progress.steps += int(steps)
        progress.evaluated += int(evaluated)
        progress.simulating += seconds
        progress.learning += now._time - self._time - seconds
        return now


def _distil(model: PPO, simulator: Simulator, actions: Sequence[int], settings: Settings) -> None:
    """Teach the policy a rollout by maximum likelihood, until it gives its actions the probability that is wanted.

    Not more: where it deviates is where it explores.
    """
    states = simulator.rollout(actions)[:-1]
    seen = torch.from_numpy(np.stack([observe(simulator, state) for state in states])).float()
    wanted = torch.tensor(list(actions))
    optimizer = torch.optim.Adam(model.policy.parameters(), lr=_IMITATION_RATE)
    for _ in range(_IMITATION_STEPS):
        _, likelihood, _ = model.policy.evaluate_actions(seen, wanted)
        if likelihood.exp().min() >= settings.imitation:
            break
        optimizer.zero_grad()
        # Actions that are likely enough already are left alone.
        (-likelihood[likelihood.exp() < settings.imitation]).mean().backward()
        optimizer.step()


def _likeliest(simulator: Simulator, model: PPO) -> list[State]:
    """The rollout of the policy's likeliest actions."""
    states = [simulator.start()]
    for _ in range(simulator.decisions):
        action, _ = model.predict(observe(simulator, states[-1]), deterministic=True)
        states += simulator.step(states[-1:], [int(action)])
    return states


def _actions(simulator: Simulator, path: list[State]) -> list[int]:
    """Actions that lead along a rollout."""
    actions = []
    for before, after in pairwise(path):
        old, new = simulator.bank(before), simulator.bank(after)
        if old == new:
            actions.append(0)
        else:
            gone = [place for place, frame in enumerate(old) if frame not in new]
            actions.append(gone[0] + 1 if gone else 1)
    return actions


def _tensors(model: PPO) -> dict[str, np.ndarray]:
    """The policy's weights under the names of `policies.sam2rl.Agent`."""
    weights = model.policy.state_dict()
    names = {"hidden": "mlp_extractor.policy_net.0", "output": "action_net"}
    return {
        f"{ours}.{kind}": weights[f"{theirs}.{kind}"].detach().cpu().numpy().copy()
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }


def _check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """A folder belongs to one setting and one subject; only the number of iterations and the patience may change."""
    path = folder / "settings.json"
    wanted = {key: value for key, value in settings.items() if key not in ("iterations", "patience")}
    older = {"relative": False}  # what trainings did before there was such a setting
    if path.is_file() and (folder / "checkpoint.pt").is_file():
        try:
            begun = {**older, **json.loads(path.read_text())}
        except (ValueError, TypeError) as error:
            raise Sam2rlError(f"{path} is damaged: delete {folder} to train from the start") from error
        other = sorted(key for key in wanted if begun.get(key) != wanted[key])
        if "subject" in other:
            raise Sam2rlError(
                f"{folder} was begun on another video, truth or model: delete the folder to train from the start"
            )
        if other:
            raise Sam2rlError(
                f"{folder} was begun with {', '.join(f'{key}={begun.get(key)}' for key in other)}: give the same "
                "settings to continue, or delete the folder to train from the start"
            )
        return
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(wanted, indent=2))


def _save(folder: Path, model: PPO, progress: Progress, trained: Trained) -> None:
    content = {
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "progress": asdict(progress),
        "tensors": {name: torch.from_numpy(value) for name, value in trained.tensors.items()},
        "best_actions": trained.best_actions,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)  # into a file, torch would not say that the disk is full
    with atomic_path(folder / "checkpoint.pt") as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _load(folder: Path, model: PPO, settings: Settings) -> tuple[Progress, Trained]:
    """The last finished iteration, or the beginning."""
    progress = Progress()
    path = folder / "checkpoint.pt"
    if not path.is_file():
        return progress, Trained(progress, {})
    try:
        content = torch.load(path, weights_only=True)  # a checkpoint may come from somebody else: never run code
        model.policy.load_state_dict(content["policy"])
        model.policy.optimizer.load_state_dict(content["optimizer"])
        progress = Progress(**content["progress"])
        tensors = {name: value.numpy() for name, value in content["tensors"].items()}
        return progress, Trained(progress, tensors, list(content["best_actions"]))
    except Exception as error:  # unpickling raises whatever a damaged file makes it raise
        raise Sam2rlError(
            f"{path} is damaged or of another training ({type(error).__name__}): delete {folder} to begin anew"
        ) from error


def read_progress(folder: Path) -> Progress | None:
    """Where the training of a folder stands; None before its first iteration has ended, or if nobody can tell."""
    rows = _read_rows(folder / "progress.csv")
    try:
        return Progress(**{name: type(value)(rows[-1][name]) for name, value in asdict(Progress()).items()})
    except (IndexError, KeyError, ValueError):
        return None


def read_curve(folder: Path) -> list[tuple[int, float]]:
    """(simulated steps, quality of the best policy so far) after every iteration of a folder's training."""
    return [(int(row["steps"]), float(row["best_greedy"])) for row in _read_rows(folder / "progress.csv")]


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """What is legible of a table of iterations: no training depends on it."""
    try:
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if (row.get("iteration") or "").isdecimal()]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _log(folder: Path, board: SummaryWriter, progress: Progress) -> None:
    row = {**asdict(progress), "reuse": progress.reuse, "frames_per_second": progress.speed}
    for name, value in row.items():
        board.add_scalar(name, value, progress.iteration)
    path = folder / "progress.csv"
    rows = [old for old in _read_rows(path) if int(old["iteration"]) < progress.iteration]
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row), extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*rows, row])
