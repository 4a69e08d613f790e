"""What was gathered: frames as the agent saw them, and what was right on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sam2rl_tracker.control.observation import Observation
from sam2rl_tracker.engine.types import Rows
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.learning.rollouts import Step
from sam2rl_tracker.media.files import atomic_path

_Rows = TypeVar("_Rows", bound=Rows)


@dataclass(frozen=True, eq=False)
class Samples(Rows):
    """Frames, in half precision where they are numbers.

    Attributes:
        candidates, looks, past, frame, memories, pairs, held: See `Observation`, [n, ...].
        ious: [n, K] of the candidates with the truth; nan where that is unknown.
        present: [n] 1 where the object is there, 0 where not, nan where unknown.
    """

    candidates: Tensor
    looks: Tensor
    past: Tensor
    frame: Tensor
    memories: Tensor
    pairs: Tensor
    held: Tensor
    ious: Tensor
    present: Tensor

    def __len__(self) -> int:
        return len(self.present)

    @property
    def seen(self) -> Observation:
        """As the network takes it."""
        names = Observation.__dataclass_fields__
        return Observation(
            **{name: getattr(self, name) if name == "held" else getattr(self, name).float() for name in names}
        )


def samples_of(steps: Sequence[Step]) -> Samples:
    """The frames of rollouts whose truth is known."""
    parts = []
    for step in steps:
        seen = {name: value if name == "held" else value.half() for name, value in vars(step.seen).items()}
        parts.append(Samples(**seen, ious=step.ious, present=step.present))
    joined = Samples.join(parts)
    return joined.take(joined.present.isfinite().nonzero()[:, 0].tolist())


def write_rows(rows: Rows, path: Path) -> None:
    """Write a batch.

    Raises:
        Sam2rlError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in vars(rows).items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors))


def read_rows(kind: type[_Rows], paths: Sequence[Path]) -> _Rows:
    """All that files hold, one after the other.

    Raises:
        Sam2rlError: A file is damaged.
    """
    return kind.join([_read(kind, path) for path in paths])


def _read(kind: type[_Rows], path: Path) -> _Rows:
    try:
        return kind(**load_file(path))
    except (OSError, SafetensorError, TypeError) as error:
        raise Sam2rlError(f"{path} is damaged: delete it, and repeat the command.") from error
