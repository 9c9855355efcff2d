"""Undo and redo over frozen states: the present one, those before it, and those taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from irplan.errors import CallError

State = TypeVar("State")

#: States kept for undo. A state shares what is large with its neighbours, or is shelved small.
UNDO_DEPTH = 100


class Undoable(Generic[State]):
    """Holds one present state; a change is a new state put in its place.

    A change that was computed from a state that has moved on meanwhile is refused.
    """

    def __init__(self, state: State) -> None:
        self._present = state
        self._past: tuple[Callable[[], State], ...] = ()
        self._future: tuple[Callable[[], State], ...] = ()
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """The present state."""
        return self._present

    def undo(self) -> bool:
        """Take the last change back; False where there is none."""
        with self._lock:
            if not self._past:
                return False
            there = self._past[-1]()
            self._future = (self._shelved(self._present), *self._future)
            self._present, self._past = there, self._past[:-1]
            return True

    def redo(self) -> bool:
        """Do again what was taken back; False where there is nothing."""
        with self._lock:
            if not self._future:
                return False
            there = self._future[0]()
            self._past = (*self._past, self._shelved(self._present))
            self._present, self._future = there, self._future[1:]
            return True

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a change to do again."""
        return bool(self._future)

    def _shelved(self, state: State) -> Callable[[], State]:
        """How a state other than the present one is kept: what gives it back when called."""
        return lambda: state

    def _begin(self, state: State) -> None:
        """Start anew: nothing of before can be brought back."""
        with self._lock:
            self._present = state
            self._past = self._future = ()

    def _enrich(self, base: State, new: State) -> None:
        """Put ``new`` in the place of ``base`` without a step to undo, unless it moved on."""
        with self._lock:
            if self._present is base:
                self._present = new

    def _swap(self, base: State, new: State) -> None:
        """Make ``new`` the present state, provided that it was computed from the present one.

        Raises:
            CallError: the case has moved on since ``base``.
        """
        with self._lock:
            if self._present is not base:
                raise CallError("moved_on", "the case changed meanwhile", "do the step again")
            self._past = (*self._past, self._shelved(base))[-UNDO_DEPTH:]
            self._future = ()
            self._present = new
