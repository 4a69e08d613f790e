"""How many agents fell back to SAM 2's own rule, and what all of them gain over it with and without these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sam2rl_tracker.agents.agent import FALLBACK


@dataclass(frozen=True)
class Fallbacks:
    """What agents gain over SAM 2, on the truth that they were trained on, and how many play SAM 2's own rule.

    Attributes:
        agents: How many there are.
        fell_back: How many of them play SAM 2's rule, as training found nothing better.
        gain: Mean difference in quality to SAM 2, a fraction.
        gain_without: The same where not all agents fell back; None where all did.
    """

    agents: int
    fell_back: int
    gain: float
    gain_without: float | None

    @classmethod
    def of(cls, gains: Sequence[float], fell_back: Sequence[Sequence[bool]]) -> Fallbacks:
        """Count.

        Args:
            gains: Of each unit, an object or a sequence; at least one.
            fell_back: Of each unit, whether each of its agents fell back.
        """
        flags = [flag for unit in fell_back for flag in unit]
        others = [gain for gain, unit in zip(gains, fell_back, strict=True) if not all(unit)]
        without = float(np.mean(others)) if others else None
        return cls(len(flags), sum(flags), float(np.mean(gains)), without)

    def sentence(self) -> str:
        """`1 of 4 agents fell back to SAM 2's own rule: ...`, with gains in points."""
        text = f"{self.fell_back} of {self.agents} agents fell back to SAM 2's own rule. The gain over SAM 2 is "
        if not self.fell_back:
            return f"{text}{100 * self.gain:+.1f} points."
        if self.gain_without is None:
            return f"{text}{100 * self.gain:+.1f} points: it is theirs alone."
        return f"{text}{100 * self.gain:+.1f} points, and {100 * self.gain_without:+.1f} without them."

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class AgentsUsed:
    """The agents by which a tracker's results were made.

    Attributes:
        kinds: {sequence: what the agent of each of its objects is, such as "memory", "both" or "memory fallback"}.
    """

    kinds: Mapping[str, Sequence[str]]

    @property
    def control(self) -> str:
        """What they decide: "memory", "output", "both", or several of these."""
        return " and ".join(sorted({kind.split()[0] for kind in self._all()}))

    def fallbacks(self, gains: Mapping[str, float]) -> Fallbacks | None:
        """How many fell back; None where no sequence has both agents and a gain.

        Args:
            gains: {sequence: difference in quality to SAM 2}.
        """
        names = [name for name in self.kinds if name in gains]
        if not names:
            return None
        flags = [[FALLBACK in kind.split() for kind in self.kinds[name]] for name in names]
        return Fallbacks.of([gains[name] for name in names], flags)

    def _all(self) -> Iterable[str]:
        return (kind for kinds in self.kinds.values() for kind in kinds)


def beyond_memory(agents: Mapping[str, AgentsUsed]) -> dict[str, str]:
    """{tracker: what its agents decide} of the trackers whose agents decide more than the paper's, the memory."""
    return {name: used.control for name, used in agents.items() if used.control != "memory"}
