"""What a plan looks like outside the program: tables, pictures, the report, DICOM objects.

In: an :class:`~irplan.plan.InjectionPlan` (or its document), the CT and its anatomy. Out: files.
Every number that is printed comes from the plan's document, so that a report cannot differ from
its ``plan.json``. ``tables`` are CSV; ``views``, ``slices``, ``pictures`` and ``scene`` make the
pictures; ``report`` and the modules named after it make the PDF.
"""
