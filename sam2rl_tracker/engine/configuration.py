"""A model's hydra configuration: read it, check it, and build its network.

A configuration names the classes that hydra then calls, so one from a stranger could run anything. It may therefore
name nothing but SAM 2's own classes, and no other file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from sam2.modeling.sam2_base import SAM2Base

from sam2rl_tracker.errors import Sam2rlError, first_line

# What the official builder adds to every configuration (`sam2.build_sam`, apply_postprocessing); the YAML lacks it.
# Its hole filling is left out: it needs a CUDA extension that most installs do not have, and changes masks.
BUILDER_FLAGS = {
    "binarize_mask_from_pts_for_mem_enc": True,
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
}

# A prefix would not do: `sam2.modeling.sam2_base.torch.load` resolves too.
ALLOWED_TARGETS = frozenset(
    f"sam2.{name}"
    for name in (
        "sam2_video_predictor.SAM2VideoPredictor",
        "modeling.sam2_base.SAM2Base",
        "modeling.backbones.hieradet.Hiera",
        "modeling.backbones.image_encoder.FpnNeck",
        "modeling.backbones.image_encoder.ImageEncoder",
        "modeling.memory_attention.MemoryAttention",
        "modeling.memory_attention.MemoryAttentionLayer",
        "modeling.memory_encoder.CXBlock",
        "modeling.memory_encoder.Fuser",
        "modeling.memory_encoder.MaskDownSampler",
        "modeling.memory_encoder.MemoryEncoder",
        "modeling.position_encoding.PositionEmbeddingSine",
        "modeling.sam.transformer.RoPEAttention",
    )
)


def read_config(path: Path) -> DictConfig:
    """Read a hydra configuration, with the official builder's flags set.

    Raises:
        Sam2rlError: Not a SAM 2 configuration, or one that names anything but SAM 2's classes.
    """
    try:
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig) or "model" not in config:
            raise Sam2rlError(f"{path} is no SAM 2 configuration: it has no section `model`.")
        config = OmegaConf.merge(config, {"model": BUILDER_FLAGS})
        OmegaConf.resolve(config)
    except Sam2rlError:
        raise
    except (OmegaConfBaseException, OSError, UnicodeDecodeError, ValueError) as error:
        raise Sam2rlError(f"{path} cannot be read as a configuration ({first_line(error)}).") from error
    except Exception as error:  # yaml's errors, which omegaconf passes on, have no common public parent
        raise Sam2rlError(f"{path} is not valid YAML ({first_line(error)}).") from error
    assert isinstance(config, DictConfig)
    trunk = OmegaConf.select(config, "model.image_encoder.trunk")
    if isinstance(trunk, DictConfig):
        trunk.pop("weights_path", None)  # SAM 2 would unpickle that file; the weights come in our own file
    for name in _targets(OmegaConf.to_container(config.model)):
        if name not in ALLOWED_TARGETS:
            raise Sam2rlError(f"{path} names {name!r}: only SAM 2's own classes are allowed in a model configuration.")
    return config


def build_network(
    config: DictConfig, target: str = "sam2.modeling.sam2_base.SAM2Base", compile_encoder: bool = False
) -> SAM2Base:
    """Instantiate the network of a configuration, with random weights.

    Args:
        target: The class to make of it: that of the network alone, or one of stock SAM 2's predictors.
        compile_encoder: Whether SAM 2's code compiles the image encoder.

    Raises:
        Sam2rlError: SAM 2's classes do not take what the configuration gives them.
    """
    settings = OmegaConf.merge(config.model, {"_target_": target, "compile_image_encoder": compile_encoder})
    try:
        return instantiate(settings, _recursive_=True)
    except Exception as error:  # hydra wraps whatever a constructor raised
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise Sam2rlError(f"The model's configuration cannot be built ({first_line(cause)}).") from error


def _targets(node: Any) -> Iterator[str]:
    """All that a configuration, as plain dictionaries and lists, has under `_target_`."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                yield str(value)
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
