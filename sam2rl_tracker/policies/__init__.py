"""Memory policies: which frames stay in the bank."""

from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import (
    Choice,
    Correction,
    Encoding,
    Outcome,
    PointerWindow,
    Policy,
    Prediction,
    Said,
    Start,
)
from sam2rl_tracker.policies.recency import ranked
from sam2rl_tracker.policies.registry import describe_policies, make_policy, policy_by_name, policy_names

__all__ = [
    "About",
    "Basis",
    "Choice",
    "Correction",
    "Encoding",
    "Outcome",
    "PointerWindow",
    "Policy",
    "Prediction",
    "Said",
    "Start",
    "describe_policies",
    "make_policy",
    "policy_by_name",
    "policy_names",
    "ranked",
]
