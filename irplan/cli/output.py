"""What a command prints: one JSON document on standard output, or a table for people.

Progress and findings for people go to standard error, so that standard output stays one document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from irplan import units
from irplan.documents import envelope
from irplan.errors import IrplanError
from irplan.findings import Finding, Severity
from irplan.jsonio import dumps
from irplan.tasks import CancelToken, Task

#: Commands whose document has another name than the command.
_DOCUMENT_OF = {"segment": "lesions", "measure": "lesions", "allocate": "allocation"}


def emit(document: Mapping[str, Any]) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(dumps(document) + "\n")
    sys.stdout.flush()


def emit_refusal(command: str, error: IrplanError) -> None:
    """Print the document of a command that was refused: its name, the cause, one stop."""
    stop = Finding(error.code, Severity.STOP, str(error))
    refused = {"code": error.code, "message": error.message, "remedy": error.remedy}
    emit(envelope(_DOCUMENT_OF.get(command, command), {"refused": refused}, [stop]))


def say(line: str = "") -> None:
    """One line for a person, on standard output."""
    print(line)


def tell_findings(findings: Iterable[Finding]) -> None:
    """The findings for a person, on standard error, the gravest first."""
    order = {Severity.STOP: 0, Severity.WARN: 1, Severity.INFO: 2}
    for finding in sorted(findings, key=lambda one: order[one.severity]):
        told = not finding.subject or finding.message.startswith(finding.subject)
        about = "" if told else f" {finding.subject}:"
        accepted = f" (accepted: {finding.accepted})" if finding.accepted else ""
        print(
            f"{finding.severity.value}:{about} {finding.message} [{finding.code}]{accepted}",
            file=sys.stderr,
        )


def tell_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for a person; numbers to the right, nothing cut off."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float | Decimal | None) for row in rows)
        for i in range(len(headings))
    ]
    for line in ([*headings], ["-" * width for width in widths], *texts):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        say("  ".join(cells).rstrip())


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return units.decimal_text(cell) if isinstance(cell, Decimal) else str(cell)


@contextmanager
def terminal_task(label: str) -> Iterator[Task]:
    """A task whose progress is drawn on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield Task(label=label)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Steps a second, once there is something to go by."""

        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total}"),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        shown: dict[str, Any] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in shown:
                shown[what] = bars.add_task(what, total=total or None)
            bars.update(shown[what], completed=done, total=total or None)

        yield Task(draw, CancelToken(), label)
