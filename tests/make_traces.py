"""Make the traces of the published rules' decisions, `data/scene-*/decisions.json.xz`.

    python tests/make_traces.py [--without-onednn] [--again]

A trace is kept of a run that met the golden masks to the pixel. Where this machine's arithmetic does not, another may,
of those that the same machine has: the command adds what is missing and can be repeated with ATEN_CPU_CAPABILITY,
ONEDNN_MAX_CPU_ISA and MKL_CBWR set. It ends with what is still missing; `data/golden.json` names the reason for each
under "untraced". What is here was made by

    python tests/make_traces.py --again
    ONEDNN_MAX_CPU_ISA=AVX512_CORE MKL_CBWR=AVX2 python tests/make_traces.py
    ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE python tests/make_traces.py --without-onednn

on an Intel Xeon, and sam3, d4sm and him2sam, and what samurai-stress still lacked, on an AMD EPYC by

    python tests/make_traces.py
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE python tests/make_traces.py
    ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=AVX2 python tests/make_traces.py
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from decisions import read_traces, replay, track_recorded, write_traces
from golden import here
from reference import DATA, PUBLISHED, SCENES, load_video, published_masks

from sam2rl_tracker.engine import load_model, one_thread


@one_thread()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-onednn", action="store_true", help="let PyTorch's own kernels multiply")
    parser.add_argument("--again", action="store_true", help="forget the traces that there are")
    arguments = parser.parse_args()
    torch.backends.mkldnn.enabled = not arguments.without_onednn  # type: ignore[assignment]
    made_on = here() + (", without oneDNN" if arguments.without_onednn else "")
    model = load_model(str(DATA / "model"), "cpu")
    for scene in SCENES:
        file = DATA / scene / "decisions.json.xz"
        traces = {} if arguments.again else read_traces(file)
        video = load_video(scene)
        for golden, policy in PUBLISHED.items():
            if golden in traces:
                continue
            masks, steps = track_recorded(model, video, policy)
            expected = published_masks(scene, golden)
            pixels = np.count_nonzero(masks != expected)
            reason = f"{pixels} pixels differ" if pixels else replay(policy, steps, expected)
            if reason is None:
                traces[golden] = {"made_on": made_on, "steps": steps}
                print(f"{golden}/{scene}: made")
            else:
                print(f"{golden}/{scene}: left out, {reason}")
        write_traces(file, traces)


if __name__ == "__main__":
    main()
