"""The program ``irplan``: its commands, and what becomes of errors.

Exit codes: 0 done, 1 a fault of irplan itself, 2 the call is wrong, 3 the input is refused,
4 done but not complete, 5 a batch with a case that was refused or failed, 6 checked and found
different, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer
from typer.exceptions import TyperException

from irplan.cli import about, cases, dosing, following, lesions, planning, reading, recording
from irplan.cli.output import emit_refusal
from irplan.errors import IrplanError

FAULT = 1
WRONG_CALL = 2
INTERRUPTED = 130

app = typer.Typer(
    name="irplan",
    help="Planning of image-guided intratumoral immunotherapy. For research use only: "
    "not a medical device.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for group in (reading, lesions, dosing, planning, following, cases, about):
    group.register(app)
app.add_typer(recording.app, name="record")


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; never raises."""
    if list(arguments) in ([], ["record"]):
        arguments = [*arguments, "--help"]
    try:
        code = app(list(arguments), prog_name="irplan", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except TyperException as error:
        print(f"irplan: {error.format_message()} ('irplan --help' tells more)", file=sys.stderr)
        return WRONG_CALL
    except (KeyboardInterrupt, typer.Abort):
        print("irplan: interrupted; nothing half-written", file=sys.stderr)
        return INTERRUPTED
    except IrplanError as error:
        print(f"irplan: {error}", file=sys.stderr)
        if "--json" in arguments:
            emit_refusal(_command_of(arguments), error)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: say it in one line
        print(f"irplan: a fault of irplan itself: {error!r}; report: {_report()}", file=sys.stderr)
        return FAULT
    return int(code or 0)


def _command_of(arguments: Sequence[str]) -> str:
    words = [word for word in arguments if not word.startswith("-")]
    return "_".join(words[:2]) if words and words[0] == "record" else (words or ["irplan"])[0]


def _report() -> Path:
    """Write the traceback where a person can send it from, and return its path."""
    handle, name = tempfile.mkstemp(prefix="irplan-fault-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(traceback.format_exc())
    return Path(name)


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
