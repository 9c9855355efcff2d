"""The plan: lesions, doses and paths of one visit as frozen data, with its findings.

In: a scan, its lesions, an allocation, a set of paths. Out: :class:`InjectionPlan` and the
document ``irplan.plan/1``. Lengths in mm, volumes in mL, doses in mg, positions in LPS mm.
"""

from irplan.documents import plan_id_of
from irplan.plan.model import (
    Case,
    ChecklistItem,
    InjectionPlan,
    PlanInput,
)

__all__ = ["Case", "ChecklistItem", "InjectionPlan", "PlanInput", "plan_id_of"]
