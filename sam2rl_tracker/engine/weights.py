"""A model's weights: read from a file, and copied into a network that they fit.

They are read as tensors and nothing else, since a pickle from a stranger could run anything.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from sam2rl_tracker.errors import Sam2rlError, first_line


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a `.safetensors` or `.pt` file of weights as tensors by name; nothing in the file is executed.

    Raises:
        Sam2rlError: Not a file of weights, or one that holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise Sam2rlError(
            f"{path} was refused: it is not a plain file of weights (it holds other objects or code), "
            "so nothing in it was run. Get the weights as .safetensors."
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise Sam2rlError(f"{path} cannot be read as weights ({first_line(error)}).") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):  # the layout of Meta's checkpoints
        content = content["model"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise Sam2rlError(f"{path} is no state dictionary: expected tensors by name.")
    return content


def load_weights(network: nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Copy weights into a network.

    Args:
        path: The file that they came from, for the error.

    Raises:
        Sam2rlError: A name or a shape does not fit.
    """
    expected = network.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    unexpected = sorted(weights.keys() - expected.keys())
    reshaped = sorted(name for name in expected.keys() & weights.keys() if expected[name].shape != weights[name].shape)
    if missing or unexpected or reshaped:
        example = (
            f"{reshaped[0]} is {list(weights[reshaped[0]].shape)} instead of {list(expected[reshaped[0]].shape)}"
            if reshaped
            else f"{(missing or unexpected)[0]} is {'missing' if missing else 'not in the configuration'}"
        )
        raise Sam2rlError(
            f"{path} does not fit its configuration: {len(missing)} weights missing, {len(unexpected)} unknown, "
            f"{len(reshaped)} of another shape (for example {example})."
        )
    network.load_state_dict(weights)
