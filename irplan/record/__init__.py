"""The record of a trial: which plans were made for which subject and visit, and who noted it.

In: plan documents (``irplan.plan/1``) as bytes, and lists of what was given in exact mL. Out:
documents for the command line, what earlier visits gave in mL and mg, and an append-only audit
chain that shows any later change. Subjects are pseudonymous: no patient ID, name or birth date is
stored. An SQLite file by default; the same code on PostgreSQL.

``chain`` is the hash chain (pure), ``tables`` the schema, ``store`` the connection and its
transactions, ``pseudonym`` what is taken out of a plan, ``plans`` adding and showing,
``injections`` what was given against what was planned (pure), ``giving`` noting and showing it,
``earlier`` the history of a subject, ``checking`` the verification of the whole record.
"""

from irplan.record.checking import verify_record
from irplan.record.earlier import EarlierVisits, earlier_visits
from irplan.record.giving import note_given, show_plan
from irplan.record.plans import add_plan, list_plans
from irplan.record.store import Store, default_url, init_record, open_store

__all__ = [
    "EarlierVisits",
    "Store",
    "add_plan",
    "default_url",
    "earlier_visits",
    "init_record",
    "list_plans",
    "note_given",
    "open_store",
    "show_plan",
    "verify_record",
]
