"""The reference: generated videos, and the masks that stock SAM 2 and the published trackers' own code gave on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import ExactEngine, Features, Model, load_model
from sam2rl_tracker.engine.configuration import build_network
from sam2rl_tracker.media.frames import open_frames
from sam2rl_tracker.media.masks import read_index_mask

DATA = Path(__file__).parent / "data"
SCENES = ["scene-930108", "scene-930105", "scene-930014"]

PUBLISHED = {  # the golden set's name -> the policy that must give it
    "sam2": "recency",
    "samurai": "samurai",
    "samurai-stress": "samurai:kalman_weight=0.5,stable_frames=3,memory_iou=0.6",
    "dam4sam": "dam4sam",
    "dam4sam-stress": ("dam4sam:iou_threshold=0.4,area_low=0.5,area_high=2.0,min_gap=2,distractor_iou=1.0"),
    "samite": "samite",
    "sam2long": "sam2long:output=final",
    "sam2long-stress-rank0": "sam2long:uncertainty=1000,output=0",
    "sam2long-stress-rank1": "sam2long:uncertainty=1000,output=1",
    "sam2long-stress-rank2": "sam2long:uncertainty=1000,output=2",
    "sam3": "sam3",
    "sam3-stress": "sam3:iou_threshold=0.5",
    "d4sm": "d4sm",
    "d4sm-stress": "d4sm:iou_threshold=0.4,area_low=0.5,area_high=2.0,min_gap=2,distractor_iou=1.0",
    "him2sam": "him2sam",
    "him2sam-lasotext": "him2sam:long_rule=hdf,long_gap=15,short_gap=5",
    "him2sam-stress": (
        "him2sam:stable_frames=3,kalman_weight=0.5,memory_iou=0.4,long_size=2,long_gap=3,long_iou=0.4,long_motion=0.3,"
        "long_ratio=1.02,long_distance=0.2,long_area_low=0.5,long_area_high=2.0"
    ),
}


@dataclass(frozen=True)
class Video:
    """A reference video: images uint8 [T, 128, 128, 3] and the target's true masks bool [T, 128, 128]."""

    name: str
    images: list[np.ndarray]
    truth: np.ndarray


def load_video(name: str = SCENES[0]) -> Video:
    """Read a reference video."""
    folder = DATA / name
    images = [frame.image for frame in open_frames(folder / "color")]
    truth = np.stack([read_index_mask(path) == 1 for path in sorted((folder / "masks").glob("*.png"))])
    return Video(name, images, truth)


def published_masks(video: str, golden: str) -> np.ndarray:
    """Masks bool [80, 128, 128] of the published code; frame 0 is the given mask."""
    packed = np.load(DATA / video / "published.npz")[golden]
    return np.unpackbits(packed, axis=-1).astype(bool)


def nano_of(size: int) -> Model:
    """A nano of its own, for another input size."""
    model = load_model("nano", "cpu")
    model.config.model.image_size = size
    network = build_network(model.config).eval()
    network.load_state_dict(model.network.state_dict())
    return replace(model, network=network)


_FEATURES: dict[tuple[str, bool, bytes], Features] = {}


def encode_once(tracker: Tracker) -> Tracker:
    """An exact tracker that encodes no image which another one of the same model encoded: rules differ behind that.

    But for PyTorch's plain kernel of attention, which some want, also where an image attends to itself.
    """
    encode = tracker._engine.encode_image
    assert isinstance(tracker._engine, ExactEngine)
    plain = tracker._engine._math_attention

    def remembered(image: np.ndarray, resampled: np.ndarray | None = None) -> Features:
        key = (tracker.model.hash, plain, image.tobytes())
        if key not in _FEATURES:
            _FEATURES[key] = encode(image, resampled)
        return _FEATURES[key]

    tracker._engine.encode_image = remembered  # type: ignore[method-assign]
    return tracker


def track_exactly(model: Model, video: Video, policy: str) -> Iterator[tuple[np.ndarray, Tracker]]:
    """Mask and tracker after every frame, in exact mode."""
    tracker = encode_once(Tracker(model, policy, exact=True, num_frames=len(video.images)))
    yield tracker.initialize(video.images[0], video.truth[:1])[0], tracker
    for image in video.images[1:]:
        yield tracker.track(image)[0], tracker
