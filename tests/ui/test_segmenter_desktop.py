"""A plug-in that segments, really installed, chosen in a real window."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import Qt

from irplan.plan.request import PlanRequest

from test_editing_desktop import mask_of, stroke, turn_to  # isort: skip

pytestmark = pytest.mark.desktop

MODULE = """
    import numpy as np

    class Blocks:
        '''The box as drawn, 8 mm high where it is flat, less balls about what is outside.'''
        name = "blocks"
        version = "1.2"

        def segment(self, hu, spacing_mm, affine_lps, prompt):
            if not len(prompt.boxes):
                raise ValueError("draw a box")
            k, j, i = np.indices(hu.shape)
            index = np.stack([i, j, k, np.ones_like(i)], axis=-1)
            points = (index @ affine_lps.T)[..., :3]
            low, high = prompt.boxes[0].min(axis=0), prompt.boxes[0].max(axis=0)
            flat = high - low < 1.0
            low, high = low - 4.0 * flat, high + 4.0 * flat
            mask = np.all((points >= low) & (points <= high), axis=-1)
            for line in prompt.scribbles_outside:
                for point in line:
                    mask &= np.linalg.norm(points - point, axis=-1) > 4.0
            return mask
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution on the path of Python, as pip leaves one."""
    folder = tmp_path / "site"
    info = folder / "blocks-1.2.dist-info"
    info.mkdir(parents=True)
    (folder / "blocks_for_irplan.py").write_text(textwrap.dedent(MODULE))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blocks\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[irplan.segmenters]\nbricks = blocks_for_irplan:Blocks\n"
        "broken = no_such_module_here:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "blocks_for_irplan", raising=False)
    return folder


def choose(hand, name: str) -> None:
    box = hand.window.edit_bar.segmenter
    box.setCurrentIndex(box.findText(name))


def test_built_in_is_the_choice_where_nothing_is_installed(window):
    box = window.edit_bar.segmenter
    assert [box.itemText(row) for row in range(box.count())] == ["built in"]
    assert window.edit_bar.next_segmenter == "irplan"


def test_a_plug_in_is_chosen_asked_and_named(installed, opened, truth, tmp_path):
    window, (x, y, z) = opened.window, truth("L5")
    box = window.edit_bar.segmenter
    texts = [box.itemText(row) for row in range(box.count())]
    assert texts == ["built in", "bricks", "broken"]
    choose(opened, "bricks")
    turn_to(opened, (x, y, z))
    # What it does not answer gives no lesion, but its own words.
    opened.key(Qt.Key.Key_C)
    opened.click((x, y, z))
    opened.wait()
    assert window.case.state.lesions == ()
    assert "draw a box" in window.notice.label.text()
    opened.key(Qt.Key.Key_R)
    stroke(opened, [(x - 14, y - 12, z), (x + 14, y + 12, z)])
    opened.wait()
    (lesion,) = window.case.state.lesions
    assert lesion.segmenter == "blocks 1.2"
    assert "(blocks 1.2)" in window.table.text_at("L1", "Kind")
    before = mask_of(opened)
    # A correction goes to the one that made the lesion, whatever is chosen for the next.
    choose(opened, "built in")
    opened.key(Qt.Key.Key_O)
    stroke(opened, [(x + 12, y - 8, z), (x + 12, y + 8, z)])
    opened.wait()
    after = mask_of(opened)
    assert window.case.state.lesions[0].segmenter == "blocks 1.2"
    assert not (after & ~before).any()
    gone = window.case.volume.geometry.to_lps(np.argwhere(before & ~after)[:, ::-1])
    assert len(gone)
    assert gone[:, 0].min() > x + 6
    # The mask and the name of its maker are in what the plan is made from.
    request = window.case.state.request
    kept = PlanRequest.from_document(
        request.document() | {"handwork": "h.json"}, _written(request, tmp_path)
    ).kept_masks
    assert [(one.lesion_id, one.segmenter) for one in kept] == [("L1", "blocks 1.2")]
    # One that cannot be loaded is refused by name.
    choose(opened, "broken")
    opened.key(Qt.Key.Key_C)
    opened.click(truth("L6"))
    opened.wait()
    assert "no_such_module_here" in window.notice.label.text()
    assert len(window.case.state.lesions) == 1


def _written(request: PlanRequest, folder: Path) -> Path:
    (folder / "h.json").write_bytes(request.handwork())
    return folder
