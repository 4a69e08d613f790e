"""What a benchmark came to, as one document: its tables and pictures are made of it, and `benchmark.json` holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sam2rl_tracker.evaluation.fallbacks import Fallbacks

FACTOR = 3  # the paper's claim: the agents gain so many times what the best heuristic gains
SHARE = 0.7  # of the best found by any method: what an agent should reach

Measures = Mapping[str, float | None]  # {"quality": x, "accuracy": x, "robustness": x}, as the toolkit computes them


class Spread(NamedTuple):
    """A mean over videos, and its 95 % bootstrap interval: None for fewer than `intervals.FEW` videos."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Beside:
    """The agents beside the best of some rules, by its mean gain on these videos.

    Attributes:
        best: Its name.
        gain: Its gain.
        times: The agents' gain over its, with an interval where the rule surely gains something. None where the rule
            gains nothing, as is `excess`: more than three times a loss would be no feat.
        excess: The agents' gain less `FACTOR` times the rule's.
    """

    best: str
    gain: Spread
    times: Spread | None
    excess: Spread | None

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> Beside | None:
        """That which a document holds; None where there is none."""
        if content is None:
            return None
        return cls(content["best"], Spread(*content["gain"]), _spread(content["times"]), _spread(content["excess"]))


@dataclass(frozen=True)
class Claims:
    """What can be claimed of the agents.

    Attributes:
        videos: How many there are.
        searched: How many of them were searched.
        agent_gain: The agents' gain.
        searched_gain: The same over the videos that were searched.
        best_gain: That of the best found by any method, there.
        against: {search: the agents' gain less its}, there.
        share_of_best: The agents' gain over the best found's, there; None where that gains nothing.
        share_wanted: `SHARE`.
        share_excess: The agents' gain less `SHARE` of the best found's, there.
        times_wanted: `FACTOR`.
        heuristics: The agents beside the best published rule; None where there is none.
        baselines: The agents beside the best baseline; None where there is none.
    """

    videos: int
    searched: int
    agent_gain: Spread
    searched_gain: Spread
    best_gain: Spread
    against: dict[str, Spread]
    share_of_best: float | None
    share_wanted: float
    share_excess: Spread
    times_wanted: int
    heuristics: Beside | None
    baselines: Beside | None

    def as_json(self) -> dict[str, Any]:
        """As a benchmark's document holds it."""
        return {("controls" if name == "baselines" else name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Claims:
        """Those that `as_json` gave."""
        spreads = ("agent_gain", "searched_gain", "best_gain", "share_excess")
        given = {name: value for name, value in content.items() if name != "controls"}
        given |= {name: Spread(*content[name]) for name in spreads}
        given["against"] = {key: Spread(*value) for key, value in content["against"].items()}
        given["heuristics"] = Beside.from_json(content["heuristics"])
        given["baselines"] = Beside.from_json(content["controls"])
        return cls(**given)


@dataclass(frozen=True)
class Survival:
    """How much of the agents' gain is left on changed videos.

    Attributes:
        what: How they were changed.
        sam2: Mean quality of SAM 2's own rule.
        agent: That of the agents.
        gain: Mean difference.
        low: Of its interval; see `Spread`.
        high: Of its interval.
        kept: The gain over that on the unchanged videos; None where that may be nothing.
    """

    what: str
    sam2: float
    agent: float
    gain: float
    low: float | None
    high: float | None
    kept: float | None


@dataclass(frozen=True)
class Method:
    """What a benchmark says of one method.

    Attributes:
        quality: Mean over videos, for searches and the best found over those that were searched.
        gain: Mean difference to SAM 2 over videos, for searches and the best found over those that were searched.
        low: Lower end of its 95 % bootstrap interval; None for too few videos.
        high: Upper end of the same.
        accuracy_gain: The same of Accuracy; None for what the toolkit did not run: searches and baselines.
        robustness_gain: The same of Robustness.
        steps: Simulated, mean over videos; None where nothing was simulated.
        fps: In `vot evaluate`, on one CPU thread; None for what the toolkit did not run.
        sees_truth: Whether it was made on the ground truth that it is scored on.
        control: What trained agents decide, where that is more than the memory; else None.
    """

    quality: float
    gain: float
    low: float | None
    high: float | None
    accuracy_gain: Spread | None
    robustness_gain: Spread | None
    steps: float | None
    fps: float | None
    sees_truth: bool
    control: str | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Method:
        """That which a document holds."""
        gains = {name: _spread(content[name]) for name in ("accuracy_gain", "robustness_gain")}
        return cls(**{**content, **gains})


@dataclass(frozen=True)
class BenchmarkDocument:
    """What a benchmark came to.

    Attributes:
        trackers: {tracker: measures over all sequences}.
        sequences: {sequence: {tracker: measures}}.
        methods: {method: what there is to say of it}: trackers, baselines, searches, the best found.
        videos: {sequence: {method: quality}}.
        steps: {sequence: {method: simulated steps}} of agents and searches.
        claims: What can be claimed of the agents; None without agents, where steps, seeds, transfer and curves are
            empty.
        seeds: {sequence: {seed: quality}} on the first videos.
        transfer: {variant of the videos: what is left of the agents' gain}.
        curves: {method: [steps, mean simulated gain] each}.
        fallbacks: How many agents fell back to SAM 2's own rule; None without agents, and in documents of before.
        settings: The plan, versions, machine, seconds of each part, and a hash of each video with its truth, as JSON.
    """

    trackers: Mapping[str, Measures]
    sequences: Mapping[str, Mapping[str, Measures]]
    methods: Mapping[str, Method]
    videos: Mapping[str, Mapping[str, float]]
    steps: Mapping[str, Mapping[str, int]]
    claims: Claims | None
    seeds: Mapping[str, Mapping[str, float]]
    transfer: Mapping[str, Survival]
    curves: Mapping[str, Sequence[Sequence[float]]]
    settings: Mapping[str, Any]
    fallbacks: Fallbacks | None = None

    def as_json(self) -> dict[str, Any]:
        """As `benchmark.json` holds it. What documents of before did not have is left out where it is not known."""
        content = {**asdict(self), "claims": self.claims and self.claims.as_json()}
        if self.fallbacks is None:
            del content["fallbacks"]
        for method in content["methods"].values():
            if method["control"] is None:
                del method["control"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> BenchmarkDocument:
        """That which `as_json` gave.

        Raises:
            KeyError: A field is missing.
        """
        typed: dict[str, Any] = {
            "methods": {key: Method.from_json(row) for key, row in content["methods"].items()},
            "claims": content["claims"] and Claims.from_json(content["claims"]),
            "transfer": {variant: Survival(**row) for variant, row in content["transfer"].items()},
            "fallbacks": Fallbacks(**content["fallbacks"]) if content.get("fallbacks") else None,
        }
        given = {name: typed[name] if name in typed else content[name] for name in cls.__dataclass_fields__}
        return cls(**given)


def _spread(values: Sequence[float | None] | None) -> Spread | None:
    return None if values is None else Spread(*values)  # type: ignore[arg-type]  # a mean is never None
