"""The record of a trial: which plans were made for which subject and visit, and who noted it.

In: plan documents (``irplan.plan/1``) as bytes. Out: documents for the command line, and an
append-only audit chain that shows any later change. Subjects are pseudonymous: no patient ID,
name or birth date is stored. An SQLite file by default; the same code on PostgreSQL.

``chain`` is the hash chain (pure), ``tables`` the schema, ``store`` the connection and its
transactions, ``pseudonym`` what is taken out of a plan, ``plans`` adding and showing,
``checking`` the verification of the whole record.
"""

from irplan.record.checking import verify_record
from irplan.record.plans import add_plan, list_plans, show_plan
from irplan.record.store import Store, default_url, init_record, open_store

__all__ = [
    "Store",
    "add_plan",
    "default_url",
    "init_record",
    "list_plans",
    "open_store",
    "show_plan",
    "verify_record",
]
