"""A plan carried to the CT of the day: a new version of it, that needs new signatures.

In: the older plan with its scan, the newer scan, and what a person drew, masked or said. Out:
:class:`~irplan.transfer.version.Transfer` and the folder of the new version.

* request: what of the older request holds for the new scan.
* paths: which needles are kept, and why the others are not.
* version: all of it together.
"""

from irplan.transfer.paths import CarriedPath
from irplan.transfer.version import Transfer, old_scan, transfer_plan

__all__ = ["CarriedPath", "Transfer", "old_scan", "transfer_plan"]
