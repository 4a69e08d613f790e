"""PPO on one clip: iterations that can be interrupted at any moment, and the weights that come of them.

The preset `paper` is SAM2RL's setting (one hidden layer of 1024 units, 16k samples an iteration, 2 epochs, 150
iterations, no discount) with what it leaves open chosen by us, relative rewards among it. The preset `default` explores
around the best rollout known so far, which it gets from narrow beams at first. After every iteration it improves that
rollout by local search, and clones it into the policy: one good decision in eighty is otherwise found again and lost
again. stable-baselines3 learns.

What happens after Ctrl-C: see `training.trainer`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecMonitor
from torch.utils.tensorboard import SummaryWriter

from sam2rl_tracker.engine import PLAIN
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.folder import RunFolder, locked
from sam2rl_tracker.training.cloning import clone
from sam2rl_tracker.training.environment import MemoryVecEnv, RelativeRewards, observe
from sam2rl_tracker.training.progress import TrainingProgress, run_folder
from sam2rl_tracker.training.search import local_search
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Rollout, Simulator
from sam2rl_tracker.training.start import Start, find_start

_FREE = ("iterations", "patience")  # settings that may change from one call to the next


@dataclass
class Trained:
    """The result of a training.

    Attributes:
        progress: Where it ended.
        tensors: Weights of the best greedy policy, as `Agent` names them.
        best_actions: Those of the best rollout.
        tried: How many of that rollout's neighbours are known to be no better: see `Climbed`.
    """

    progress: TrainingProgress
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    best_actions: list[int] = field(default_factory=list)
    tried: int = 0


def train(
    simulator: Simulator,
    settings: Settings,
    folder: Path,
    on_iteration: Callable[[TrainingProgress], None] = lambda progress: None,
    sam2: float = float("nan"),
    start: Start | None = None,
) -> Trained:
    """Train on a simulator; continue from the folder's last finished iteration if there is one.

    Args:
        folder: Gets `checkpoint.pt`, `progress.csv`, `settings.json` and TensorBoard's events.
        on_iteration: Is called after each iteration, when that is saved.
        sam2: Quality of SAM 2's own rule, for the record of the progress.
        start: What to explore around first; None = what beams find on the simulator.

    Raises:
        Sam2rlError: Another training is at work in the folder, it was begun with other settings or on another video,
            truth or model, its checkpoint is damaged, or it cannot be written to.
    """
    # Two machines that train the same go through the same states, and replace whole files by the same ones.
    with locked(folder, "training", elsewhere=True):
        episodes = -(-settings.samples // simulator.decisions)
        if settings.relative and episodes == 1:
            raise Sam2rlError(
                f"Setting samples={settings.samples} is one rollout, and relative rewards need others beside it: give "
                f"{simulator.decisions + 1} or more, or relative=0."
            )
        env = MemoryVecEnv(simulator, episodes)
        model = _make_ppo(env, settings)
        run = run_folder(folder)
        _keep_settings(run, simulator, settings)
        trained = _load(run, model)
        progress = trained.progress
        progress.iterations, progress.sam2 = settings.iterations, sam2
        with SummaryWriter(str(folder), purge_step=progress.iteration + 1) as board:
            iterations = _Iterations(env, settings, trained, run, board, on_iteration)
            if settings.imitation and progress.iteration == 0:
                iterations.begin(model, start or find_start([simulator], settings.beam))
            if iterations.left:
                model.learn(iterations.left * episodes * simulator.decisions, iterations)
        return trained


class _Iterations(BaseCallback):
    """What goes on between PPO's iterations: local search, cloning, evaluation, the record of progress, the checkpoint.

    An iteration is a rollout of all environments, and the learning from it. stable-baselines3 tells when a rollout
    begins; only then, or at the end of the training, has the learning from the one before ended.
    """

    def __init__(
        self,
        env: MemoryVecEnv,
        settings: Settings,
        trained: Trained,
        run: RunFolder,
        board: SummaryWriter,
        on_iteration: Callable[[TrainingProgress], None],
    ):
        super().__init__()
        self._env, self._simulator, self._settings = env, env.simulator, settings
        self._trained, self._progress = trained, trained.progress
        self._run, self._board, self._tell = run, board, on_iteration
        self._mark = _Mark(self._simulator)
        self._collected = False  # a rollout, from which is learned

    @property
    def left(self) -> int:
        """Iterations that are still to come."""
        stopped = 0 < self._settings.patience <= self._progress.stale
        return 0 if stopped else max(0, self._settings.iterations - self._progress.iteration)

    def begin(self, model: PPO, start: Start) -> None:
        """Before a training's first iteration: explore around this."""
        progress = self._progress
        progress.best, self._trained.best_actions = start.quality, list(start.actions)
        progress.steps, progress.evaluated, progress.simulating = start.steps, start.evaluated, start.seconds
        self._mark = _Mark(self._simulator)  # the start's own work is counted
        self._clone_best(model)

    def _on_rollout_start(self) -> None:
        if self._collected:
            self._end_iteration()
        # The random state follows from the iteration, so that a training that resumes is the one that went on.
        seed = self._settings.seed * 1_000_003 + self._progress.iteration
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)

    def _on_step(self) -> bool:
        return self.left > 0  # False, in the first step of a rollout, when patience has run out

    def _on_rollout_end(self) -> None:
        self._collected = True

    def _on_training_end(self) -> None:
        if self._collected:
            self._end_iteration()

    def _end_iteration(self) -> None:
        simulator, progress, trained = self._simulator, self._progress, self._trained
        assert isinstance(self.model, PPO)
        self._collected = False
        progress.entropy = -float(self.logger.name_to_value["train/entropy_loss"])
        qualities = [simulator.quality(rollout.states) for rollout in self._env.rollouts]
        self._keep_better(self._env.rollouts[int(np.argmax(qualities))].actions, max(qualities))
        if self._settings.imitation:
            self._climb()
            self._clone_best(self.model)
        greedy = _greedy_rollout(simulator, self.model)
        progress.greedy = simulator.quality(greedy.states)
        self._keep_better(greedy.actions, progress.greedy)  # a policy that explores may be better than all it tried
        self._mark = self._mark.add_to(progress)
        progress.iteration += 1
        progress.mean = float(np.mean(qualities))
        progress.stale += 1
        if progress.greedy > progress.best_greedy:
            progress.best_greedy, progress.stale = progress.greedy, 0
            trained.tensors = _tensors(self.model)
        simulator.trim()
        self._log()  # first: when killed in between, the iteration is done and logged again
        _save(self._run, self.model, trained)
        self._tell(progress)

    def _keep_better(self, actions: Sequence[int], quality: float) -> None:
        if quality > self._progress.best:
            self._progress.best, self._trained.best_actions, self._trained.tried = quality, list(actions), 0

    def _climb(self) -> None:
        """Improve the best rollout by local search, which goes on where the iteration before ended."""
        if not self._settings.local:
            return
        trained, settings = self._trained, self._settings
        climbed = local_search(self._simulator, trained.best_actions, settings.local, settings.seed, trained.tried)
        self._keep_better(climbed.found.actions, climbed.found.quality)
        trained.tried = climbed.tried

    def _clone_best(self, model: PPO) -> None:
        actions = self._trained.best_actions
        states = self._simulator.rollout(actions)[:-1]
        seen = np.stack([observe(self._simulator, state) for state in states])
        clone(model.policy, seen, self._simulator.space.parts(np.array(actions)), self._settings.imitation)

    def _log(self) -> None:
        # Not by stable-baselines3's formats of its logger: they begin their files anew when a training goes on.
        progress = self._progress
        row = {**asdict(progress), "reuse": progress.reuse, "frames_per_second": progress.speed}
        for name, value in row.items():
            self._board.add_scalar(name, value, progress.iteration)
        self._run.add_progress(row)


class _Mark:
    """A moment of a training, from which the work done since is counted."""

    def __init__(self, simulator: Simulator):
        counters = simulator.counters
        self._simulator = simulator
        self._counted = (counters.steps, counters.evaluated + counters.recomputed, counters.seconds)
        self._time = time.perf_counter()

    def add_to(self, progress: TrainingProgress) -> _Mark:
        """Add steps, predicted states and seconds since this mark; the new mark."""
        now = _Mark(self._simulator)
        steps, evaluated, seconds = (b - a for a, b in zip(self._counted, now._counted, strict=True))
        progress.steps += int(steps)
        progress.evaluated += int(evaluated)
        progress.simulating += seconds
        progress.learning += now._time - self._time - seconds
        return now


def _make_ppo(env: MemoryVecEnv, settings: Settings) -> PPO:
    decisions = env.simulator.decisions
    samples = decisions * env.num_envs
    minibatches = max(1, round(samples / settings.batch_size))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*mini-batch")  # the last one being smaller does no harm
        model = PPO(
            "MlpPolicy",
            VecMonitor(RelativeRewards(env) if settings.relative else env),
            learning_rate=settings.learning_rate,
            n_steps=decisions,  # whole episodes: nothing to bootstrap at an iteration's end
            batch_size=-(-samples // minibatches),
            n_epochs=settings.n_epochs,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
            clip_range=settings.clip_range,
            ent_coef=settings.ent_coef,
            policy_kwargs={"net_arch": {"pi": [settings.hidden], "vf": [settings.hidden]}},
            seed=settings.seed,
            device="cpu",  # the networks are small; the simulator has its own device
        )
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def _greedy_rollout(simulator: Simulator, model: PPO) -> Rollout:
    """The rollout of the policy's likeliest actions."""
    rollout = Rollout([simulator.start()], [])
    for _ in range(simulator.decisions):
        state = rollout.states[-1]
        action, _ = model.predict(observe(simulator, state), deterministic=True)
        joined = int(simulator.space.join(action))
        rollout.actions.append(simulator.distinct(state, joined))
        rollout.states.extend(simulator.step([state], [joined]))
    return rollout


def _tensors(model: PPO) -> dict[str, np.ndarray]:
    """The policy's weights under the names that `Agent` gives them."""
    weights = model.policy.state_dict()
    names = {"hidden": "mlp_extractor.policy_net.0", "output": "action_net"}
    return {
        f"{ours}.{kind}": weights[f"{theirs}.{kind}"].detach().cpu().numpy().copy()
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }


# ------------------------------------------------------------------------------------------------------------- files


def _keep_settings(run: RunFolder, simulator: Simulator, settings: Settings) -> None:
    """A folder belongs to one subject, arithmetic and setting, but for the number of iterations and the patience.

    Raises:
        Sam2rlError: It was begun with others.
    """
    decisive = {key: value for key, value in settings.as_json().items() if key not in _FREE}
    begun = {"subject": simulator.identity, **asdict(simulator.arithmetic), **decisive}
    other = run.keep_settings(begun, {**asdict(PLAIN), **settings.assumed})
    if any(text.startswith("subject=") for text in other):
        raise Sam2rlError(
            f"{run.path} was begun on another video, truth or model: delete the folder to train from the start."
        )
    if other:
        raise Sam2rlError(
            f"{run.path} was begun with {', '.join(other)}: give the same settings to continue, or delete the folder "
            "to train from the start."
        )


def _save(run: RunFolder, model: PPO, trained: Trained) -> None:
    run.save_checkpoint(
        {
            "policy": model.policy.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(),
            "progress": asdict(trained.progress),
            "tensors": {name: torch.from_numpy(value) for name, value in trained.tensors.items()},
            "best_actions": trained.best_actions,
            "tried": trained.tried,
        }
    )


def _load(run: RunFolder, model: PPO) -> Trained:
    """The last finished iteration, or the beginning."""
    trained = Trained(TrainingProgress())

    def restore(content: dict[str, Any]) -> None:
        model.policy.load_state_dict(content["policy"])
        model.policy.optimizer.load_state_dict(content["optimizer"])
        trained.progress = TrainingProgress(**content["progress"])
        trained.tensors = {name: value.numpy() for name, value in content["tensors"].items()}
        trained.best_actions = list(content["best_actions"])
        trained.tried = int(content.get("tried", 0))

    run.load_checkpoint(restore)
    return trained
