"""Where the time goes: docs/speed.md."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tables.cells import plain, table
from tables.files import read


def profile(name: str, rows: int = 1) -> list[str]:
    """Where the time of a step or a frame goes.

    Args:
        name: Of the measurement.
        rows: The batch size whose parts are shown.
    """
    lines = []
    for row in read(name)["rows"]:
        if row["rows"] != rows:
            continue
        share = f"{100 * row['share']:.0f} %" if "share" in row else "-"
        most = f"{row['faster_at_most']:.2f}" if "faster_at_most" in row else "-"
        work = [f"{row['mflop_per_row']:.1f}", f"{row['mb_per_row']:.1f}", _of_ceiling(row["ms_per_row"], row)]
        lines.append([row["part"], f"{row['ms_per_row']:.3f}", *work, share, most])
    return table(["Part", "ms a row", "MFLOP", "MB", "of the ceiling", "Share", "at most"], lines)


def profile_sizes() -> list[str]:
    """Steps of SAM 2.1's sizes: the image, and each part of a row."""
    steps: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
    for row in read("profile-sizes")["rows"]:
        steps.setdefault((row["model"], row["input_size"], row["rows"]), {})[row["part"]] = row
    lines = []
    for (model, size, count), parts in steps.items():
        image = parts.pop("encode the image")
        ms = {part: row["ms_per_row"] for part, row in parts.items()}
        step = sum(ms.values())
        gflop = sum(row["mflop_per_row"] for row in parts.values()) / 1e3
        lines.append(
            [
                model,
                str(size),
                str(count),
                f"{count * image['ms_per_row']:.0f}",
                f"{step:.0f}",
                *(
                    f"{100 * ms[part] / step:.0f} %"
                    for part in ("attend to the bank", "decode masks", "encode the memory")
                ),
                f"{gflop:.1f}",
                _of_ceiling(step, image | {"mflop_per_row": 1e3 * gflop}),
            ]
        )
    heads = ["Model", "Input", "Rows", "image, ms", "step, ms a row", "attention", "decoder", "memory encoder"]
    return table([*heads, "GFLOP a row", "of the ceiling"], lines)


def _of_ceiling(ms: float, row: dict[str, Any]) -> str:
    """How much of what a product of matrices reaches."""
    return f"{100 * row['mflop_per_row'] / ms / row['ceiling_gflops']:.0f} %" if row["mflop_per_row"] else "-"


def numbers() -> dict[str, str]:
    parts = [row for row in read("profile-step")["rows"] if row["rows"] == 32 and "share" in row]
    ceiling = parts[0]["ceiling_gflops"]
    return {
        "profile-step.ceiling": f"{ceiling:.0f} GFLOP/s",
        "profile-step.step_32": f"{sum(row['ms_per_row'] for row in parts):.2f} ms",
        "profile-step.least_32": f"{sum(row['mflop_per_row'] for row in parts) / ceiling:.2f} ms",
    }


TABLES: dict[str, Callable[[], list[str]]] = {
    "profile-step-8": partial(profile, "profile-step", 8),
    "profile-step-32": partial(profile, "profile-step", 32),
    "profile-frame": partial(profile, "profile-frame"),
    "profile-sizes": profile_sizes,
    "training-profile": partial(plain, "training-profile", part="Part", share="Share of the time"),
    "lean-attention": partial(
        plain, "lean-attention", rows="Rows", before="Before, ms a row", now="After", ratio="Ratio"
    ),
    "kept-memory": partial(plain, "kept-memory", way="", ms="ms a prediction", faults="Page faults a prediction"),
    "bfloat16": partial(plain, "bfloat16", what="ms a row", float32="float32", bfloat16="bfloat16", ratio="Ratio"),
    "packed-products": partial(
        plain, "packed-products", rows="Rows", inner="in", outer="out", plain="MKL, GFLOP/s", packed="oneDNN, packed"
    ),
    "packed-attention": partial(
        plain, "packed-attention", of="Bank of", queries="Queries", keys="Keys", plain="MKL, ms", packed="oneDNN"
    ),
    "beams": partial(plain, "beams", way="Beam", quality="Quality", steps="Steps", predicted="States predicted"),
    "compiled": partial(
        plain, "compiled", dtype="", plain="As it is, ms a row", compiled="Compiled", faster="Faster by"
    ),
    "not-compiled": partial(plain, "not-compiled", idea="Idea", measured="Measured"),
    "not-built": partial(plain, "not-built", idea="Idea", measured="Measured", most="So at most"),
}
