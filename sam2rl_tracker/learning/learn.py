"""Learning an agent for any video: gather and fit in rounds, then teach the memory by teachers, by comparing its
actions, and by PPO; choose.

Every stage leaves files in the run's folder, and is skipped where they are: a learning that was interrupted goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from sam2rl_tracker.control.agent import ControlAgent, load_control_agent, look_parts_of, save_control_agent
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import GROUPS
from sam2rl_tracker.engine import PLAIN, Arithmetic, Model, load_model, one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.learning import seeds
from sam2rl_tracker.learning.ablation import Compared, ablate
from sam2rl_tracker.learning.environment import MemoryOfManyVideos
from sam2rl_tracker.learning.fit import fit, losses_of, new_network
from sam2rl_tracker.learning.forks import Forks, advantage_loss
from sam2rl_tracker.learning.gather import PART, Part, Trial, encode_each, fork_part, gather_part, try_part
from sam2rl_tracker.learning.ppo import improve_memory
from sam2rl_tracker.learning.samples import Samples, read_rows
from sam2rl_tracker.learning.settings import LearnSettings
from sam2rl_tracker.learning.sources import Source, draw, keep_apart, sources_of
from sam2rl_tracker.learning.teachers import teach_part
from sam2rl_tracker.learning.videos import Video
from sam2rl_tracker.media.files import check_output_file
from sam2rl_tracker.runs.executors import HERE, Executor
from sam2rl_tracker.runs.folder import keep_settings, locked, write_json
from sam2rl_tracker.runs.provenance import AGENT_PACKAGES, python_version, versions

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

VALIDATION = 64
"""Generated videos to choose by; of a workspace, all."""

_OBJECTS = "objects"  # in the settings' file
_EPOCHS = {"teachers": 30, "forks": 3}  # there are fewer of teachers' actions
_PPO_VIDEOS, _PPO_COPIES = 8, 4
_TEACHERS_FROM = 50_000  # videos after those of the rounds: other ones than forks' and PPO's
_OLDER = {"teachers": 0}  # of learnings that were begun when there was no such setting


@dataclass(frozen=True)
class Learning:
    """What came of a learning.

    Attributes:
        agent: The file.
        chosen: The stage that it was taken from.
        validation: {stage: mean quality on the validation's videos}.
        videos: That were learned from.
        samples: {stage: frames that were fitted, teachers' decisions, moments that were compared, decisions of PPO}.
        sees_absence: Whether there were frames without the object; without them presence cannot be learned.
        ablation: What each part of the control and each kind of observation gives, if that was asked for.
    """

    agent: Path
    chosen: str
    validation: dict[str, float]
    videos: int
    samples: dict[str, int]
    sees_absence: bool
    ablation: tuple[Compared, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "agent": str(self.agent), "ablation": [row.as_json() for row in self.ablation]}


def learn(
    train: Sequence[str],
    validate: str,
    out: Path,
    model: str = "nano",
    device: str | None = None,
    settings: LearnSettings | None = None,
    executor: Executor = HERE,
    report: Callable[[str], None] = lambda text: None,
    arithmetic: Arithmetic = PLAIN,
    ablation: bool = False,
) -> Learning:
    """Learn an agent, or go on with a learning that was interrupted.

    Args:
        train: Workspaces, or `generated[:PRESET]`.
        validate: One of these, of other videos.
        out: The agent's file. The run's folder lies beside it, with `.run` at the end.
        model: Which SAM 2, as `load_model` takes it.
        device: Where it runs; None = the best there is.
        settings: Of the learning; None = the defaults.
        executor: Where videos are tracked.
        report: Is called with a line of text per stage.
        arithmetic: What the network computes in, also where stages are validated.
        ablation: Whether to tell what each part of the control and of the observation gives: see `ablation.ablate`.

    Raises:
        Sam2rlError: Nothing to learn from, a validation that overlaps it, a file of somebody else's in the agent's
            place, or the folder is of other settings or videos.
    """
    settings = settings or LearnSettings()
    loaded = load_model(model, device)
    size = loaded.network.image_size
    shift = settings.seed * 100_003 % 900_000  # other seeds learn from other scenes
    sources = sources_of(train, seeds.TRAIN + shift, size, settings.frames)
    (judge,) = sources_of([validate], seeds.VALIDATE, size, settings.frames)
    _check_out(out)
    apart = tuple(keep_apart(sources, judge, VALIDATION, settings.frames))
    folder = out.with_name(f"{out.name}.run")
    with locked(folder, "learning"):
        check_output_file(out)
        for source in dict.fromkeys((*sources, judge)):  # one may be named twice
            for left_out in source.left_out:
                report(f"left out of {source.text}: {left_out}")
        objects = {source.text: source.objects for source in (*sources, judge) if source.preset is None}
        about = {"train": list(train), "validate": validate, "model": loaded.hash, **asdict(arithmetic)}
        _keep_settings(folder, {**about, **settings.as_json()}, json.loads(json.dumps(objects)))
        run = _Run(loaded, model, device, apart, judge, folder, settings, executor, report, arithmetic)
        return run.learn(out, ablation)


def _check_out(out: Path) -> None:
    """Raises: Sam2rlError: A folder lies there, or a file that no learning wrote."""
    if out.is_dir():
        raise Sam2rlError(
            f"{out} is a folder, expected the agent's file: give a name such as {out / 'agent'}.safetensors."
        )
    if out.exists():
        try:
            load_control_agent(out)
        except Sam2rlError as error:
            raise Sam2rlError(
                f"{out} would be overwritten, and no learning of this version wrote it: give another --out."
            ) from error


def _keep_settings(folder: Path, settings: dict[str, Any], objects: dict[str, Any]) -> None:
    """Write what decides a learning that begins, or compare it with what it was begun with.

    Args:
        settings: As JSON.
        objects: {workspace: its objects}, as JSON.

    Raises:
        Sam2rlError: Something differs, or the file is damaged.
    """
    found = keep_settings(folder, {**settings, _OBJECTS: objects}, {**asdict(PLAIN), **_OLDER, _OBJECTS: objects})
    different = ["other videos in its workspaces" if one.startswith(f"{_OBJECTS}=") else one for one in found]
    if different:
        raise Sam2rlError(
            f"{folder} was begun with {', '.join(different)}: repeat that, give another --out, or delete the folder."
        )


@dataclass(frozen=True)
class _Run:
    loaded: Model
    model: str
    device: str | None
    sources: tuple[Source, ...]
    judge: Source
    folder: Path
    settings: LearnSettings
    executor: Executor
    report: Callable[[str], None]
    arithmetic: Arithmetic

    @one_thread()
    def learn(self, out: Path, ablation: bool) -> Learning:
        settings = self.settings
        stages: dict[str, Path] = {}
        gathered: list[Path] = []
        agent = None
        with SummaryWriter(str(self.folder)) as board:
            for number in range(settings.rounds):
                gathered += self._gather(number, agent)
                agent = stages[f"round {number + 1}"] = self._fit(number, gathered, board)
            assert agent is not None
            if settings.teachers and settings.control != "output":
                agent = stages["teachers"] = self._follow(agent, gathered, board)
            if settings.forks and settings.control != "output":
                agent = stages["forks"] = self._compare(agent, gathered, board)
            if settings.iterations and settings.control != "output":
                stages["ppo"] = self._improve(agent)
            validation = {name: self._validate(path, board, name) for name, path in stages.items()}
            chosen = max(validation, key=lambda name: validation[name])
            rows = self._ablate(stages[chosen], gathered, board) if ablation else []
        best = load_control_agent(stages[chosen])
        sees_absence = bool(best.network.sees_absence)
        samples = best.record["samples"]
        videos = settings.videos * settings.rounds
        result = Learning(out, chosen, validation, videos, samples, sees_absence, tuple(rows))
        record = {**best.record, "chosen": chosen, "validation": validation, "videos": videos}
        save_control_agent(replace(best, record=record), out)
        return result

    # ------------------------------------------------------------------------------------------------ the stages

    def _parts(self, name: str, first: int, videos: int, agent: Path | None) -> list[Part]:
        folder = self.folder / name
        return [
            Part(
                self.model,
                self.device,
                self.sources,
                first + start,
                min(PART, videos - start),
                self.settings,
                agent,
                folder / f"{start:06d}.safetensors",
                self.arithmetic,
            )
            for start in range(0, videos, PART)
        ]

    def _gather(self, number: int, agent: Path | None) -> list[Path]:
        videos = self.settings.videos
        parts = self._parts(f"round-{number + 1}", number * videos, videos, agent)
        return self._work(gather_part, parts, f"round {number + 1} of {self.settings.rounds}: gathering")

    def _work(self, work: Callable[[Part], Path], parts: list[Part], what: str) -> list[Path]:
        for count, _ in enumerate(self._results(work, parts), start=1):
            self.report(f"{what}, {count} of {len(parts)} parts")
        return [part.out for part in parts]

    def _results(self, work: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[tuple[_Task, _Result]]:
        """Tasks with their results, as they end. Raises: Sam2rlError: One failed."""
        for outcome in self.executor.run(work, tasks):
            if isinstance(outcome.result, Sam2rlError):
                raise outcome.result
            yield outcome.task, outcome.result

    def _fit(self, number: int, gathered: Sequence[Path], board: SummaryWriter) -> Path:
        path = self.folder / f"round-{number + 1}.safetensors"
        if not path.exists():
            self._fit_to(path, number, gathered, board, f"round {number + 1}")
        return path

    def _fit_to(self, path: Path, number: int, gathered: Sequence[Path], board: SummaryWriter, name: str) -> None:
        """Fit a new network to what the rounds up to a number gathered."""
        settings = self.settings
        torch.manual_seed(settings.seed + number)
        samples = read_rows(Samples, gathered)
        network = new_network(look_parts_of(self.loaded), samples, settings)
        absent = bool((samples.present < 0.5).any())
        network.sees_absence.fill_(absent)
        if not absent:
            self.report("no frame without the object: presence cannot be learned, and SAM 2's is taken")

        def tell(epoch: int, losses: dict[str, float]) -> None:
            for loss, value in losses.items():
                board.add_scalar(f"fit {name}/{loss}", value, epoch)
            said = ", ".join(f"{loss} {value:.4f}" for loss, value in losses.items())
            self.report(f"{name}: epoch {epoch + 1} of {settings.epochs}, {said}")

        fit(network, samples, settings, tell)
        self._save(network, path, {name: len(samples)})

    def _follow(self, agent: Path, gathered: Sequence[Path], board: SummaryWriter) -> Path:
        """Teach the memory by teachers who know the videos' future."""
        settings = self.settings
        first = settings.rounds * settings.videos + _TEACHERS_FROM
        parts = self._parts("teachers", first, settings.teachers, agent)
        return self._teach_memory("teachers", teach_part, parts, "following teachers", gathered, board)

    def _compare(self, agent: Path, gathered: Sequence[Path], board: SummaryWriter) -> Path:
        """Teach the memory by what its actions gave."""
        settings = self.settings
        moments = max(settings.frames // 12 - 1, 1)
        videos = -(-settings.forks // (moments * PART)) * PART
        parts = self._parts("forks", settings.rounds * settings.videos, videos, agent)
        what = "comparing what the memory's actions give"
        return self._teach_memory("forks", fork_part, parts, what, gathered, board)

    def _teach_memory(
        self,
        name: str,
        work: Callable[[Part], Path],
        parts: list[Part],
        what: str,
        gathered: Sequence[Path],
        board: SummaryWriter,
    ) -> Path:
        path = self.folder / f"{name}.safetensors"
        files = self._work(work, parts, what)
        if path.exists():
            return path
        agent = parts[0].agent
        assert agent is not None
        settings = self.settings
        torch.manual_seed(settings.seed)
        loaded = load_control_agent(agent)
        forks = read_rows(Forks, files)
        samples = read_rows(Samples, gathered[-len(files) :])
        teach_by_forks(
            loaded.network,
            forks,
            samples,
            settings,
            _EPOCHS[name],
            lambda step, loss: board.add_scalar(name, loss, step),
        )
        self._save(loaded.network, path, {**loaded.record["samples"], name: len(forks.returns)})
        return path

    def _improve(self, agent: Path) -> Path:
        """PPO on the memory's actions."""
        path = self.folder / "ppo.safetensors"
        if path.exists():
            return path
        loaded = load_control_agent(agent)
        loaded.network.to(self.loaded.device)
        engine = self.arithmetic.engine(self.loaded)
        settings = self.settings
        first = settings.rounds * settings.videos + 500_000
        numbers = iter(range(first, first + 10**6, _PPO_VIDEOS))

        def videos() -> list[Video]:
            start = next(numbers)
            return encode_each(engine, draw(self.sources, range(start, start + _PPO_VIDEOS), settings.frames))

        environment = MemoryOfManyVideos(engine, videos, loaded.network, _PPO_COPIES)
        self.report(f"PPO on the memory's actions, {settings.iterations} iterations")
        steps = environment.frames - 1
        improve_memory(environment, loaded.network, settings.iterations, steps, settings.seed, str(self.folder))
        self._save(
            loaded.network,
            path,
            {**loaded.record["samples"], "ppo": settings.iterations * steps * environment.num_envs},
        )
        return path

    def _validate(self, agent: Path, board: SummaryWriter, name: str) -> float:
        path = agent.with_suffix(".json")
        if not path.exists():
            trials = [Trial(part, self.settings.control) for part in self._judging(agent, path)]
            found = {}
            for trial, some in self._results(try_part, trials):
                found[trial.part.first] = some
                self.report(f"validating {name}, {len(found)} of {len(trials)} parts")
            values = [value for trial in trials for value in found[trial.part.first]]
            write_json(path, {"quality": float(np.mean(values)), "videos": values})
        quality = float(json.loads(path.read_text())["quality"])
        self.report(f"{name}: quality {quality:.4f} on the validation's videos")
        board.add_scalar("validation", quality, list(self._names()).index(name))
        return quality

    @property
    def _judged(self) -> int:
        """Videos of the validation."""
        return len(self.judge.objects) if self.judge.preset is None else VALIDATION

    def _judging(self, agent: Path | None, out: Path) -> list[Part]:
        """The validation's videos."""
        return [
            Part(self.model, self.device, (self.judge,), first, count, self.settings, agent, out, self.arithmetic)
            for first in range(0, self._judged, PART)
            for count in [min(PART, self._judged - first)]
        ]

    def _ablate(self, chosen: Path, gathered: Sequence[Path], board: SummaryWriter) -> list[Compared]:
        folder = self.folder / "ablation"
        parts = [replace(part, out=folder / f"{part.first:06d}.json") for part in self._judging(None, folder)]

        def refit(settings: LearnSettings, path: Path, name: str) -> None:
            replace(self, settings=settings)._fit_to(path, self.settings.rounds - 1, gathered, board, name)

        return ablate(chosen, parts, self._judged, refit, self.executor, self.report)

    def _names(self) -> Iterator[str]:
        yield from (f"round {number + 1}" for number in range(self.settings.rounds))
        yield from ("teachers", "forks", "ppo")

    def _save(self, network: ControlNetwork, path: Path, samples: dict[str, int]) -> None:
        record = {
            "model": self.loaded.name,
            "train": [source.text for source in self.sources],
            "first_seed": self.sources[0].first,
            "validate": self.judge.text,
            "settings": self.settings.as_json(),
            "samples": samples,
            "blind_to": GROUPS[self.settings.leave_out].names if self.settings.leave_out else [],
            "versions": versions(AGENT_PACKAGES),
            "python": python_version(),
            **asdict(self.arithmetic),
        }
        save_control_agent(ControlAgent(network.eval(), self.loaded.hash, record), path)


def teach_by_forks(
    network: ControlNetwork,
    forks: Forks,
    samples: Samples,
    settings: LearnSettings,
    epochs: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Move the memory's heads towards the actions that gave more, in place; elsewhere they stay as fitted.

    Args:
        samples: Frames on which the word of `fit.teach` counts.
        epochs: How often it goes through the moments.
    """
    heads = [parameter for head in (network.replace, network.discard) for parameter in head.parameters()]
    optimiser = torch.optim.Adam(heads, lr=3e-4)
    batch, step = min(256, len(forks.returns)), 0
    for _ in range(epochs):
        order = torch.randperm(len(forks.returns))
        for start in range(0, len(order) - batch + 1, batch):
            some = torch.randint(len(samples), (batch,))
            loss = advantage_loss(network, forks.take(order[start : start + batch].tolist()))
            loss = loss + losses_of(network, samples.take(some.tolist()), settings).memory
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(heads, 1.0)
            optimiser.step()
            step += 1
            on_step(step, float(loss.detach()))
