"""What a rule answers to the questions that tell memory rules apart, as data beside the rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Basis(Enum):
    """What a rule was written from, and so what its masks can be compared with."""

    CODE = "equal to the published code"
    PAPER = "written from the paper"
    ABSTRACT = "written from an abstract"
    OWN = "no published rule"


@dataclass(frozen=True)
class About:
    """A rule's answers, a phrase or a sentence each. Those with a default are SAM 2's.

    Attributes:
        title: The rule's name in tables. It claims no more than was written: "MoSAM-style".
        basis: What it was written from.
        attends: Which memories and which object pointers a frame attends to.
        remembers: Which frames it keeps, when it decides so, and from what their memories are encoded.
        paper: The reference in a word or two, "Ravi et al., arXiv:2408.00714"; the whole one is the paragraph
            "Source: ..." of the class's docstring.
        compared: A condition or a limit of `basis`, or what else the rule was compared with.
        chooses: Which candidate mask is the output.
        visible: When the object counts as being in the picture.
        corrected: What a corrected frame changes.
    """

    title: str
    basis: Basis
    attends: str
    remembers: str
    paper: str = ""
    compared: str = ""
    chooses: str = "The candidate of the highest predicted IoU."
    visible: str = "Its object score is above 0."
    corrected: str = "The frame joins the prompted one as a conditioning frame. The rule's own state stays as it is."

    @property
    def exactness(self) -> str:
        """How exact the rule is, in a line."""
        return f"{self.basis.value} ({self.compared})" if self.compared else self.basis.value
