"""The dose: protocols as data, the exact split over lesions, the loop of visits, the syringe sheet.

In: lesions with volumes in mL (:class:`DoseLesion`), a :class:`Protocol`, a :class:`DoseOrder`
(weight, visit, history, what was given). Out: an :class:`Allocation` in exact decimals of mL and
mg, with a sentence for each number. ``allocated + residual = prescribed`` holds exactly.

Sources: arithmetic of the drug labels and trials as each protocol file says; body surface after
Mosteller. The split by volume is this program's default, not a published rule of a trial.
"""

from irplan.dose.allocate import allocate
from irplan.dose.allocation import (
    Allocation,
    DrugAllocation,
    Exclusion,
    LesionDose,
    MixtureAllocation,
)
from irplan.dose.history import GivenRow, HistoryRow, read_given, read_history
from irplan.dose.lesion_table import DoseLesion, ellipsoid_ml, read_lesion_table
from irplan.dose.order import DoseOrder
from irplan.dose.protocol import Protocol
from irplan.dose.protocol_file import list_protocols, load_protocol, parse_protocol
from irplan.dose.syringes import SyringeLine, VialLine

__all__ = [
    "Allocation",
    "DoseLesion",
    "DoseOrder",
    "DrugAllocation",
    "Exclusion",
    "GivenRow",
    "HistoryRow",
    "LesionDose",
    "MixtureAllocation",
    "Protocol",
    "SyringeLine",
    "VialLine",
    "allocate",
    "ellipsoid_ml",
    "list_protocols",
    "load_protocol",
    "parse_protocol",
    "read_given",
    "read_history",
    "read_lesion_table",
]
