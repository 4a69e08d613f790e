"""All measurements of speed, one after the other, on whatever device is there: `sam2rl bench all`.

Each part is saved when it is done, and a folder that has some goes on with the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from sam2rl_tracker.engine import Arithmetic, Model
from sam2rl_tracker.engine.devices import resolve_device
from sam2rl_tracker.errors import Sam2rlError, first_line
from sam2rl_tracker.experiments.prediction_speed import bench_predict
from sam2rl_tracker.experiments.simulation_speed import ITERATIONS, bench_simulate
from sam2rl_tracker.experiments.timing import ARITHMETICS, measured_model
from sam2rl_tracker.experiments.tracking_speed import Case, bench_track
from sam2rl_tracker.experiments.variant_speed import bench_variants
from sam2rl_tracker.runs.folder import locked, write_json
from sam2rl_tracker.runs.provenance import BENCHMARK_PACKAGES, Provenance, machine, python_version, versions
from sam2rl_tracker.training.settings import Settings

DOCUMENT = "bench.json"
SETTINGS = "settings.json"
PARTS = "parts"
Report = Callable[[str], None]


class Measured(Protocol):
    """What a measurement gives."""

    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Part:
    """One measurement.

    Attributes:
        name: That of its file.
        random_weights: Whether the model has its real size and no trained weights: its speed, and nothing else.
        measure: Does it; takes what to tell of each step.
    """

    name: str
    random_weights: bool
    measure: Callable[[Report], Measured]


@dataclass(frozen=True)
class Subject:
    """A model that is measured.

    Attributes:
        model: As `load_model` takes it.
        input_size: In pixels, of a model with random weights; None = the model is loaded as it is.
    """

    model: str
    input_size: int | None = None

    @property
    def title(self) -> str:
        return Path(self.model).name + (f"-{self.input_size}" if self.input_size else "")


REAL_SIZES = (Subject("sam2.1_hiera_large", 512), Subject("sam2.1_hiera_large", 1024))
"""What a GPU is measured with, beside the given model."""


class Simulated(NamedTuple):
    """Arguments of `bench_simulate`."""

    frames: int = 80
    rows: int = 32
    iterations: int = ITERATIONS
    samples: int = Settings.samples


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rows: tuple[int, ...]  # batch sizes of predictions
    turns: int  # of tracking in every arithmetic
    simulated: Simulated
    cases: tuple[Case, ...]  # of `bench_track`, or its defaults


FULL = Extent((1, 2, 4, 8, 16, 32, 64), 8, Simulated(), ())
QUICK = Extent((1, 4), 1, Simulated(12, 4, 2, 24), (Case(1, 41),))


@dataclass(frozen=True)
class Everything:
    """What `bench_all` measured.

    Attributes:
        parts: {name: its document}.
        failed: {name: why it could not be measured}.
        settings: What it was measured on and with.
    """

    parts: dict[str, Any]
    failed: dict[str, str]
    settings: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"bench": self.parts, "failed": self.failed, "settings": self.settings}

    def lines(self) -> Iterator[Line]:
        """The numbers that a table shows."""
        for name, part in self.parts.items():
            yield from (Line(name, *line) for line in _lines(part))


@dataclass(frozen=True)
class Line:
    """A number of a part, with what belongs to it where it was measured.

    Attributes:
        part: Its name.
        what: Was measured.
        fps: Frames per second.
        ratio: To stock SAM 2.
        of_ceiling: Share of what a product of large matrices reaches.
        peak_mb: Of a GPU's memory.
    """

    part: str
    what: str
    fps: float | None
    ratio: float | None = None
    of_ceiling: float | None = None
    peak_mb: int | None = None


def bench_all(
    folder: Path,
    model: str = "nano",
    device: str | None = None,
    quick: bool = False,
    on_part: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> Everything:
    """Measure predictions, tracking and simulation in every arithmetic; on a GPU also with Hiera-L's real sizes.

    Args:
        folder: New, or one of an earlier call of the same settings, which goes on.
        model: As `load_model` takes it.
        device: Where all runs; None = the best there is.
        quick: Whether to do the least of everything: to see that it works. The numbers are rough.
        on_part: Is called with the parts that are done, their number, and what is being done.

    Raises:
        Sam2rlError: See `load_model`; or the folder was begun with other settings, is at work or cannot be written.
    """
    target = resolve_device(device)
    settings = _settings(measured_model(model, device), quick)
    parts = plan_parts(target, model, quick)
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with locked(folder, "bench all"):
        _keep(folder / SETTINGS, settings)
        for index, part in enumerate(parts):
            file = folder / PARTS / f"{part.name}.json"
            on_part(index, len(parts), part.name)
            if not file.is_file():
                try:
                    measured = part.measure(partial(_tell, on_part, index, len(parts), part.name)).as_json()
                except Exception as error:  # compilers and devices raise what they like; other parts are independent
                    failed[part.name] = first_line(error)
                    continue
                write_json(file, {"random_weights": part.random_weights, **measured})
            done[part.name] = json.loads(file.read_text())
        on_part(len(parts), len(parts), "")
        result = Everything(done, failed, settings)
        write_json(folder / DOCUMENT, result.as_json())
    return result


def plan_parts(device: torch.device, model: str = "nano", quick: bool = False) -> list[Part]:
    """What is measured on a device, the short parts first."""
    extent, place = QUICK if quick else FULL, str(device)
    subjects = [Subject(model), *(REAL_SIZES if device.type == "cuda" else ())]
    # Stock SAM 2's compilation takes minutes.
    arithmetics = [one for one in ARITHMETICS if not (quick and one.compile)]
    parts = []
    for subject in subjects:
        random, size = subject.input_size is not None, subject.input_size
        for one in arithmetics:
            predict = partial(bench_predict, subject.model, place, random, size, extent.rows, one)
            parts.append(Part(f"predict-{subject.title}-{_title(one)}", random, predict))
        for objects in (1, 5):
            vary = partial(bench_variants, subject.model, place, random, size, objects, extent.turns, arithmetics)
            parts.append(Part(f"variants-{subject.title}-{objects}", random, vary))
    for one in arithmetics:
        simulate = partial(bench_simulate, model, place, arithmetic=one, **extent.simulated._asdict())
        parts.append(Part(f"simulate-{subjects[0].title}-{_title(one)}", False, _reporting(simulate)))
    track = partial(bench_track, extent.cases, model, device=place)
    return [*parts, Part(f"track-{subjects[0].title}", False, _reporting(track))]


def _reporting(measure: Callable[..., Measured]) -> Callable[[Report], Measured]:
    return lambda report: measure(report=report)


def _title(arithmetic: Arithmetic) -> str:
    return arithmetic.dtype + "-compiled" * arithmetic.compile


def _tell(on_part: Callable[[int, int, str], None], done: int, total: int, name: str, text: str) -> None:
    on_part(done, total, f"{name}: {text}")


def _settings(model: Model, quick: bool) -> dict[str, Any]:
    settings = Provenance.of(model).as_json(0)
    del settings["dtype"], settings["compile"]  # each part has its own
    packages = {"python": python_version(), **versions(BENCHMARK_PACKAGES)}
    return {**settings, "machine": machine(), "versions": packages, "quick": quick}


def _keep(file: Path, settings: dict[str, Any]) -> None:
    """Write what a folder is measured with, or see that it is that."""
    try:
        begun = json.loads(file.read_text()) if file.is_file() else settings
    except ValueError as error:
        raise Sam2rlError(f"{file} is damaged: give a new folder.") from error
    for key, value in settings.items():
        if begun.get(key) != value:
            raise Sam2rlError(
                f"{file.parent} was begun with {key}={begun.get(key)}, and here it is {value}: numbers of both do not "
                "belong into one document; give a new folder."
            )
    write_json(file, settings)


def _lines(part: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """What a part's document says, as `Line` has it behind the name."""
    for line in part.get("predict", ()):
        share = line["tflops"] / part["ceiling_tflops"]
        yield f"{line['rows']} rows", line["fps"], None, share, line["peak_mb"]
    for line in part.get("variants", ()):
        way = f"{line['who']}, {line['dtype']}{', compiled' * line['compile']}"
        yield line["failed"] or way, line["fps"], line["ratio"], line["of_ceiling"], line["peak_mb"]
    for line in part.get("track", ()):
        yield f"{line['policy']}, {line['objects']}x{line['frames']}", line["fps"], line["ratio"]
    if simulated := part.get("simulate"):
        yield "batched", simulated["batched_fps"], simulated["ratio_batched"]
        yield "memoised, over a training", simulated["memoised_fps"], simulated["ratio_memoised"]
