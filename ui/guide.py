"""What comes next, in a line: for the strip over the lesion table and for the status bar."""

from __future__ import annotations

from ui.case import Case
from ui.scene import Tool

#: What a tool does, for the status bar.
HINTS = {
    Tool.CLICK: "Click inside a lesion in any slice; within a drawn one it adds to that one",
    Tool.LINE: "Draw the longest diameter, border to border; then further ones, in any view",
    Tool.BOX: "Draw a box around a lesion; the wheel takes it over slices",
    Tool.SCRIBBLE: "Draw through a lesion; Shift adds to the selected one, Ctrl takes off",
    Tool.INSIDE: "Click or draw through what belongs to the lesion",
    Tool.OUTSIDE: "Click or draw through what does not belong to the lesion",
    Tool.BRUSH: "Paint into the selected lesion, or a new one; Ctrl erases; [ ] size",
    Tool.ERASER: "Take off the selected lesion; [ ] size",
    Tool.NO_GO: "Paint where no needle may go; Ctrl erases; [ ] size",
}


def next_step(case: Case) -> str:
    """What a person does next."""
    if not case.is_open:
        return "Next: open a CT (Ctrl+O, or drop a folder here)"
    if case.expected_id:
        return f"Next: draw {case.expected_id} on this scan (click C, line L, box R, brush P)"
    if case.following:
        return "Next: correct what is not right, then back to the follow-up (Ctrl+Shift+F)"
    if not case.state.lesions:
        return "Next: click a lesion (C), draw its diameter (L) or a box (R)"
    if case.state.allocation is None:
        return "Next: weight, then split the dose"
    if not case.position_known:
        return "Next: choose how the patient will lie"
    if case.paths is None:
        return "Next: propose paths"
    return "Next: look at each path, then save (Ctrl+S)" if not case.saved_folder else ""
