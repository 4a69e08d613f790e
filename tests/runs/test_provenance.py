"""What a number was made with."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version

import torch

from sam2rl_tracker.engine import Arithmetic, Model
from sam2rl_tracker.runs.provenance import Provenance, processor, versions


def test_what_a_number_was_made_with(nano: Model) -> None:
    made = Provenance.of(nano)
    assert made.as_json(7) == {
        "model": "nano",
        "model_hash": nano.hash,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "dtype": "float32",
        "compile": False,
        "seed": 7,
    }
    assert made.result_line() == (
        f"nano {nano.hash}, cpu, sam2rl_tracker {version('sam2rl_tracker')}, sam2 {version('sam2')}, "
        f"torch {version('torch')}"
    )
    assert processor()


def test_another_arithmetic_is_told(nano: Model) -> None:
    made = Provenance.of(nano, Arithmetic("bfloat16", compile=True))
    assert made.result_line().startswith(f"nano {nano.hash}, cpu bfloat16 compiled, sam2rl_tracker")
    settings = made.as_json(7)
    assert (settings["dtype"], settings["compile"]) == ("bfloat16", True)
    plain = {name: value for name, value in asdict(made).items() if name not in ("dtype", "compile")}
    assert Provenance(**plain) == Provenance.of(nano)  # as files had it before there was a choice


def test_packages_that_are_not_installed() -> None:
    assert versions(["numpy", "no-such-package"]) == {"numpy": version("numpy"), "no-such-package": "unknown"}
