"""An agent that was learned from many videos: it decides the output and the memory on any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from sam2rl_tracker.agents.action import DISCARD, OLDEST, make_room
from sam2rl_tracker.control.agent import ControlAgent, load_control_agent, packaged_agent
from sam2rl_tracker.control.decide import decide
from sam2rl_tracker.control.observation import View, view
from sam2rl_tracker.control.state import begin, output, remember
from sam2rl_tracker.engine.types import Candidates, Features
from sam2rl_tracker.parameters import INTERNAL
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.bank import BankPolicy
from sam2rl_tracker.policies.base import Choice, Correction, Encoding, Outcome, Prediction, Start
