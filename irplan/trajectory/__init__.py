"""Needle paths: from the skin to the deposits, around everything that must not be hit.

In: the CT, the body, the anatomy, measured lesions and the mL that each is to get. Out: a
:class:`~irplan.trajectory.needle.PathPlan`: chosen passes, alternatives, lesions without a safe
path and why. Points are LPS mm, lengths mm, angles degrees, volumes mL (``Decimal``).
"""

from irplan.trajectory.check import ConstraintCheck, allowed
from irplan.trajectory.constraints import Constraints, load_constraints
from irplan.trajectory.explain import explain_path
from irplan.trajectory.needle import Deposit, Needle, PathPlan, Relaxation, Unreachable
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.propose import default_guidance, propose_paths
from irplan.trajectory.shelf import NeedleShelf, NeedleType, load_shelf

__all__ = [
    "ConstraintCheck",
    "Constraints",
    "Deposit",
    "Needle",
    "NeedleShelf",
    "NeedleType",
    "PathPlan",
    "PatientPosition",
    "Relaxation",
    "Unreachable",
    "allowed",
    "default_guidance",
    "explain_path",
    "load_constraints",
    "load_shelf",
    "propose_paths",
]
