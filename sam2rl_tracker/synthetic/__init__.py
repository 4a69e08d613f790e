"""Generated scenes: videos whose ground truth is exact and whose number is unlimited."""

from sam2rl_tracker.synthetic.scenes import Scene, generate_scene

__all__ = ["Scene", "generate_scene"]
