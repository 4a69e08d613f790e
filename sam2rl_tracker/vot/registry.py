"""The trackers that a workspace knows."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

import yaml

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.workspace import Workspace


def registered_trackers(workspace: Workspace) -> dict[str, dict[str, str]]:
    """{name: options} of the trackers in the workspace's registries and those of VOT_REGISTRY.

    Raises:
        Sam2rlError: A registry is damaged.
    """
    paths = [*workspace.registries, *map(Path, filter(None, os.environ.get("VOT_REGISTRY", "").split(os.pathsep)))]
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        for file in [path / "trackers.ini", path / "trackers.yaml"] if path.is_dir() else [path]:
            try:
                if file.suffix == ".yaml":
                    found |= yaml.safe_load(file.read_text()) or {} if file.is_file() else {}
                else:
                    parser = configparser.ConfigParser()
                    parser.read(file)
                    found |= {name: dict(parser[name]) for name in parser.sections()}
            except (OSError, yaml.YAMLError, configparser.Error) as error:
                raise Sam2rlError(
                    f"The registry {file} is damaged ({' '.join(str(error).split())}): mend it."
                ) from error
    return found
