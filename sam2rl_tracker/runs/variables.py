"""The environment's variables that stand for options: `vot evaluate` starts trackers without arguments."""

from __future__ import annotations

MODEL_VARIABLE = "SAM2RL_MODEL"
"""Which SAM 2, as `load_model` takes it."""

DEVICE_VARIABLE = "SAM2RL_DEVICE"
"""Where it runs."""

DTYPE_VARIABLE = "SAM2RL_DTYPE"
"""The numbers that it computes in, as `engine.Arithmetic` takes them."""

COMPILE_VARIABLE = "SAM2RL_COMPILE"
"""1 = its steps are compiled first."""

AGENTS_VARIABLE = "SAM2RL_AGENTS"
"""The folder of agents, or one agent's file. The tracker reads it where it is told of no other."""

THREADS_VARIABLE = "OMP_NUM_THREADS"
"""PyTorch's own: how many threads it computes with on a CPU."""
