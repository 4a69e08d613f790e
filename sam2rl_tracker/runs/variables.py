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


def tracker_environment(
    model: str | None = None,
    device: str | None = None,
    agents: str | None = None,
    dtype: str | None = None,
    compile: bool | None = None,
    threads: int | None = None,
) -> dict[str, str]:
    """Variables for a tracker that another program starts.

    Args:
        model: As in `MODEL_VARIABLE`; what is None or empty stays as the environment has it, here and in the others.
        device: As in `DEVICE_VARIABLE`.
        agents: As in `AGENTS_VARIABLE`.
        dtype: As in `DTYPE_VARIABLE`.
        compile: Whether to compile.
        threads: As in `THREADS_VARIABLE`.
    """
    given = {
        MODEL_VARIABLE: model,
        DEVICE_VARIABLE: device,
        AGENTS_VARIABLE: agents,
        DTYPE_VARIABLE: dtype,
        COMPILE_VARIABLE: None if compile is None else str(int(compile)),
        THREADS_VARIABLE: None if threads is None else str(threads),
    }
    return {name: value for name, value in given.items() if value}
