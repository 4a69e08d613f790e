"""SAM 2 with an explicit memory bank. The only part of the package that imports `sam2`."""

from sam2rl_tracker.engine.engine import Engine
from sam2rl_tracker.engine.models import (
    HUB_MODELS,
    Model,
    load_model,
    packaged_models,
    random_model,
    resolve_device,
    resolve_model,
)
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
    MemorySelection,
    Prompt,
)

__all__ = [
    "CONDITIONING_SLOT",
    "HUB_MODELS",
    "MAX_POINTERS",
    "MEMORY_SLOTS",
    "Candidates",
    "Chosen",
    "Engine",
    "Features",
    "FixedShape",
    "FrameRecord",
    "MemorySelection",
    "Model",
    "Prompt",
    "load_model",
    "one_thread",
    "packaged_models",
    "random_model",
    "resolve_device",
    "resolve_model",
]
