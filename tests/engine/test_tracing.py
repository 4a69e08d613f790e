"""The image encoder of small models, recorded: not a bit may differ."""

from __future__ import annotations

import copy
import dataclasses
import gc
import warnings
import weakref

import pytest
import torch
from torch import Tensor

from sam2rl_tracker.engine import Engine, ExactEngine, Model
from sam2rl_tracker.engine import engine as engine_module
from sam2rl_tracker.engine.threads import SMALL, suits_one_thread
from sam2rl_tracker.synthetic import generate_scene


@pytest.mark.parametrize("kind", [Engine, ExactEngine])
@pytest.mark.usefixtures("one_thread")
def test_a_recorded_encoder_has_the_same_bits(kind: type[Engine], nano: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    images = generate_scene(seed=3, frames=4, size=128).images
    plain = [kind(nano).encode_image(image) for image in images]
    monkeypatch.setattr(engine_module, "_RECORD_AFTER", 2)
    own = dataclasses.replace(nano)  # which nobody has recorded yet
    engine = kind(own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of the recording, none reaches a user
        recorded = [engine.encode_image(image) for image in images]
    assert isinstance(engine._encoder._recorded, torch.jit.ScriptModule)
    for one, other in zip(plain, recorded, strict=True):
        pairs: list[tuple[Tensor, Tensor]] = [(one.map, other.map), (one.query, other.query)]
        pairs += zip(one.high_res, other.high_res, strict=True)
        assert all(torch.equal(a, b) and a.stride() == b.stride() for a, b in pairs)
    again = copy.deepcopy(engine).encode_image(images[0])
    assert torch.equal(again.map, plain[0].map)


def test_engines_of_a_kind_share_one_recording(nano: Model) -> None:
    """PyTorch never frees one, and every tracker has an engine of its own."""
    own = dataclasses.replace(nano)
    engine = Engine(own)
    assert Engine(own)._encoder is engine._encoder
    others = (ExactEngine(own), Engine(own, torch.bfloat16), Engine(nano))
    assert len({id(one._encoder) for one in (engine, *others)}) == 4
    model = weakref.ref(own)
    del own, engine, others
    gc.collect()
    assert model() is None, "a model that nobody uses is freed"


def test_who_is_small() -> None:
    cpu = torch.device("cpu")
    assert suits_one_thread(cpu, SMALL)
    assert not suits_one_thread(cpu, SMALL + 16)
    assert not suits_one_thread(torch.device("cuda"), 128)


def test_kernels_that_are_restricted_for_all_threads(nano: Model) -> None:
    """Another thread would compute an image's attention by them, too."""
    assert ExactEngine(nano).encodes_beside
    assert not ExactEngine(nano, math_attention=True).encodes_beside
