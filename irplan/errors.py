"""Errors: one base; each carries a code, a sentence that names the cause, and the way out.

An unsafe plan is not an error but a finding (:mod:`irplan.findings`); a broken input or call is
an error. The command line turns ``exit_code`` into its own.
"""

from __future__ import annotations

from typing import ClassVar


class IrplanError(Exception):
    """Base of every error that irplan raises on purpose.

    Attributes:
        code: stable name of the cause, for programs.
        message: one sentence that names the file or value and the cause, for people.
        remedy: the way out, or ''.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(code, message, remedy)
        self.code = code
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class CallError(IrplanError):
    """The call is wrong: an option, a number's form, a choice that was not made. Exit code 2."""

    exit_code: ClassVar[int] = 2


class InputRefused(IrplanError):
    """The input was understood and is refused, or cannot be trusted. Exit code 3."""

    exit_code: ClassVar[int] = 3


class Cancelled(IrplanError):
    """The person asked to stop; nothing was written. Exit code 130."""

    exit_code: ClassVar[int] = 130

    def __init__(self, what: str = "the work") -> None:
        super().__init__("cancelled", f"{what} was cancelled; nothing was written")
