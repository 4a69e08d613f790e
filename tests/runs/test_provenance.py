"""What a number was made with."""

from __future__ import annotations

from importlib.metadata import version

import torch

from sam2rl_tracker.engine import Model
from sam2rl_tracker.runs.provenance import Provenance, processor, versions


def test_what_a_number_was_made_with(nano: Model) -> None:
    made = Provenance.of(nano)
    assert made.as_json(7) == {
        "model": "nano",
        "model_hash": nano.hash,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seed": 7,
    }
    assert made.result_line() == (
        f"nano {nano.hash}, cpu, sam2rl_tracker {version('sam2rl_tracker')}, sam2 {version('sam2')}, "
        f"torch {version('torch')}"
    )
    assert processor()


def test_packages_that_are_not_installed() -> None:
    assert versions(["numpy", "no-such-package"]) == {"numpy": version("numpy"), "no-such-package": "unknown"}
