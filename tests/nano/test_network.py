"""Training runs the same network as tracking does: it gives what `Engine` gives, on the very same model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from reference import load_video, nano_of
from torch import Tensor

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Engine, ExactEngine, FrameRecord, MemorySelection, Model
from sam2rl_tracker.nano.network import Remembered, attend, decode, encode_images, remember, remember_prompt

pytestmark = pytest.mark.usefixtures("one_thread")
FRAME = 5


def remembered(record: FrameRecord) -> Remembered:
    assert record.memory is not None
    return Remembered(record.memory[None].float(), record.pointer[None], torch.tensor([record.frame]))


@torch.inference_mode()
def test_a_prediction_is_the_engines(nano: Model) -> None:
    network = nano.network
    video = load_video()
    engine = Engine(nano)
    tracker = Tracker(nano, "recency")
    tracker.initialize(video.images[0], video.truth[:1])
    for image in video.images[1:FRAME]:
        tracker.track(image)
    (selection,) = tracker._objects[0].policy.select(FRAME)
    first, *others = [record for record, _ in selection.memories]
    newest_first = sorted(others, key=lambda record: -record.frame)
    pointers = tuple((record, FRAME - record.frame) for record in (first, *newest_first))
    features = engine.encode_image(video.images[FRAME])
    wanted = engine.predict(features, [MemorySelection(selection.memories, pointers)])

    maps = encode_images(network, engine.preprocess(video.images[FRAME])[None])
    assert torch.allclose(maps.top, features.map, atol=1e-5)
    bank = [remembered(record) for record in (first, *reversed(newest_first))]
    chosen = torch.arange(len(bank) - 1, 0, -1)[None]
    found = decode(network, attend(network, maps, torch.tensor([FRAME]), bank, chosen), maps)
    assert torch.allclose(found.logits[:, 1:], wanted.logits, atol=1e-3)
    assert torch.allclose(found.ious[:, 1:], wanted.ious, atol=1e-5)
    assert torch.allclose(found.scores, wanted.object_scores, atol=1e-4)
    # Which memories are attended to, and in which order, matters.
    other = decode(network, attend(network, maps, torch.tensor([FRAME]), bank, chosen.flip(1)), maps)
    assert not torch.allclose(other.logits, found.logits, atol=1e-2)


@torch.inference_mode()
def test_memories_are_the_engines(nano: Model) -> None:
    network = nano.network
    video = load_video()
    tracker = Tracker(nano, "recency")
    tracker.initialize(video.images[0], video.truth[:1])
    mask = tracker.track(video.images[1])
    records = {record.frame: record for record in tracker._objects[0].policy.reachable()}
    engine = Engine(nano)

    maps = encode_images(network, torch.stack([engine.preprocess(image) for image in video.images[:2]]))
    first, second = (maps.take(torch.tensor([t])) for t in (0, 1))
    truth = torch.from_numpy(video.truth[:1].astype(np.float32))
    prompted = remember_prompt(network, first, truth, torch.tensor([0]))
    assert records[0].memory is not None
    assert torch.allclose(prompted.memory[0], records[0].memory.float(), rtol=0.01, atol=0.01)  # stored as bfloat16
    assert torch.allclose(prompted.pointer[0], records[0].pointer, atol=1e-4)

    decoded = decode(network, attend(network, second, torch.tensor([1]), [prompted], torch.zeros(1, 0).long()), second)
    picked = decoded.likeliest()
    logits = torch.nn.functional.interpolate(decoded.logits[:, picked], size=128, mode="bilinear")[:, 0]
    assert ((logits[0] > 0).numpy() != mask[0]).sum() <= 2  # the same but for last bits, which may turn an edge's pixel
    tracked = remember(network, second, decoded, picked, logits.sigmoid(), torch.tensor([True]), torch.tensor([1]))
    assert records[1].memory is not None
    assert torch.allclose(tracked.memory[0], records[1].memory.float(), rtol=0.01, atol=0.01)
    assert torch.allclose(tracked.pointer[0], records[1].pointer, rtol=1e-3, atol=1e-3)  # attended to bfloat16
    absent = remember(network, second, decoded, picked, logits.sigmoid(), torch.tensor([False]), torch.tensor([1]))
    assert torch.allclose(absent.pointer, network.no_obj_ptr)


def track(engine: Engine) -> Tensor:
    """Logits of the reference video's second frame, from a memory of the first."""
    video = load_video()
    first, second = (engine.encode_image(image) for image in video.images[:2])
    chosen = engine.prompt_masks(first, video.truth[:1])
    memory = engine.encode_memory(first, chosen, [True])
    record = FrameRecord(0, memory[0], chosen.pointers[0], 1.0, 1.0, 1)
    return engine.predict(second, [MemorySelection(((record, 6),), ((record, 1),))]).logits.flatten()


def learn(model: Model) -> Tensor:
    """The same two frames in training: its logits and all gradients."""
    network, images = model.network, load_video().images[:2]
    maps = encode_images(network, torch.stack([Engine(model).preprocess(image) for image in images]))
    first, second = (maps.take(torch.tensor([t])) for t in (0, 1))
    truth = torch.zeros(1, network.image_size, network.image_size)
    truth[:, :64, :64] = 1.0
    bank = [remember_prompt(network, first, truth, torch.tensor([0]))]
    decoded = decode(network, attend(network, second, torch.tensor([1]), bank, torch.zeros(1, 0).long()), second)
    gradients = torch.autograd.grad(decoded.logits.square().mean(), list(network.parameters()), allow_unused=True)
    used = [gradient.flatten() for gradient in gradients if gradient is not None]
    assert len(used) > 100
    return torch.cat([decoded.logits.detach().flatten(), *used])


def make(user: str, model: Model) -> Callable[[], Tensor]:
    """A user of a model: what it is called for, each time."""
    if user == "training":
        return lambda: learn(model)
    engine = Engine(model) if user == "an engine" else ExactEngine(model, math_attention=True)
    return lambda: track(engine)


# With 160 pixels, rotary attention finds another number of places than nano's configuration says.
@pytest.mark.slow
@pytest.mark.parametrize("size", [128, 160])
def test_users_of_one_model_do_not_notice_each_other(size: int) -> None:
    """Bit for bit what each gives alone, in whichever order they are made and used."""
    users = ("an engine", "an exact engine", "training")
    alone = {user: make(user, nano_of(size))() for user in users}
    for order in permutations(users):
        model = nano_of(size)
        made = {user: make(user, model) for user in order}
        for user in order:
            assert torch.equal(made[user](), alone[user]), f"{user}, made and used in the order {order}"
