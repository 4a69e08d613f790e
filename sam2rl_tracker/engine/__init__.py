"""SAM 2 with an explicit memory bank. The only part of the package that imports `sam2`."""

from sam2rl_tracker.engine.arithmetic import PLAIN, Arithmetic
from sam2rl_tracker.engine.catalogue import HUB_MODELS, packaged_models, resolve_model
from sam2rl_tracker.engine.devices import multiplies_bfloat16, resolve_device
from sam2rl_tracker.engine.engine import Engine
from sam2rl_tracker.engine.exact import ExactEngine
from sam2rl_tracker.engine.model import Model, Network, load_model, random_model
from sam2rl_tracker.engine.threads import one_thread
from sam2rl_tracker.engine.types import (
    CONDITIONING_SLOT,
    MAX_POINTERS,
    MEMORY_SLOTS,
    Candidates,
    Chosen,
    Features,
    FixedShape,
    FrameRecord,
    Masks,
    MemorySelection,
    Prompt,
)

__all__ = [
    "CONDITIONING_SLOT",
    "HUB_MODELS",
    "MAX_POINTERS",
    "MEMORY_SLOTS",
    "PLAIN",
    "Arithmetic",
    "Candidates",
    "Chosen",
    "Engine",
    "ExactEngine",
    "Features",
    "FixedShape",
    "FrameRecord",
    "Masks",
    "MemorySelection",
    "Model",
    "Network",
    "Prompt",
    "load_model",
    "multiplies_bfloat16",
    "one_thread",
    "packaged_models",
    "random_model",
    "resolve_device",
    "resolve_model",
]
