"""Segmenters of other distributions: really installed, really asked, never trusted."""

from __future__ import annotations

import importlib
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from irplan import jsonio
from irplan.cli.main import main
from irplan.errors import CallError, Cancelled
from irplan.geometry import GridGeometry
from irplan.headless import session_on
from irplan.lesions import Click, Diameter, Prompt
from irplan.lesions.gestures import Box, Scribble
from irplan.lesions.lesion import LesionKind, LesionSource
from irplan.lesions.plugins import affine_lps, load_segmenter, named, offered, segment_with
from irplan.session import PlanningSession
from irplan.tasks import CancelToken, Task
from irplan.volume import CtVolume
from irplan.volume_io import save_volume

from .volumes import AXES, grid_of

#: A distribution with one sound segmenter and several that are not.
MODULE = """
    import threading

    import numpy as np

    class Ball:
        '''A ball about the first point inside, or about the first diameter.'''
        name = "ball"
        version = "2.5"

        def segment(self, hu, spacing_mm, affine_lps, prompt):
            if len(prompt.diameters):
                centre = prompt.diameters[0].mean(axis=0)
                radius = np.linalg.norm(np.subtract(*prompt.diameters[0])) / 2
            else:
                centre, radius = prompt.points_inside[0], 6.0
            k, j, i = np.indices(hu.shape)
            index = np.stack([i, j, k, np.ones_like(i)], axis=-1)
            points = (index @ affine_lps.T)[..., :3]
            return np.linalg.norm(points - centre, axis=-1) <= radius

    class _Bad(Ball):
        version = "0"

        def segment(self, hu, spacing_mm, affine_lps, prompt):
            return self.answer(super().segment(hu, spacing_mm, affine_lps, prompt), hu)

    class Raises(_Bad):
        name = "raises"
        def answer(self, mask, hu):
            raise MemoryError("no room\\nfor the network")

    class Writes(_Bad):
        name = "writes"
        def answer(self, mask, hu):
            hu[:] = 0
            return mask

    class Shape(_Bad):
        name = "shape"
        def answer(self, mask, hu):
            return mask[1:]

    class Empty(_Bad):
        name = "empty"
        def answer(self, mask, hu):
            return np.zeros_like(mask)

    class Nan(_Bad):
        name = "nan"
        def answer(self, mask, hu):
            return np.where(mask, np.nan, 0.0)

    class Words(_Bad):
        name = "words"
        def answer(self, mask, hu):
            return mask.astype(str)

    class Outside(_Bad):
        name = "outside"
        def answer(self, mask, hu):
            return ~mask

    class Mirrored(_Bad):
        name = "mirrored"
        def answer(self, mask, hu):
            return mask[:, :, ::-1]

    class Quits(_Bad):
        name = "quits"
        def answer(self, mask, hu):
            raise SystemExit("no licence")

    class Hangs(_Bad):
        name = "hangs"
        go_on = threading.Event()
        def answer(self, mask, hu):
            self.go_on.wait(60.0)
            return mask

    class Nothing(_Bad):
        name = "nothing"
        def answer(self, mask, hu):
            return None

    class Picky(Ball):
        name = "picky"
        version = "1.0"

        def segment(self, hu, spacing_mm, affine_lps, prompt):
            if prompt.lesion_id == "L2":
                raise ValueError("not my kind")
            return super().segment(hu, spacing_mm, affine_lps, prompt)

    class Drawn(_Bad):
        '''What was painted over: boxes less the scribbles outside; it knows nothing else.'''
        name = "drawn"
        version = "3"

        def segment(self, hu, spacing_mm, affine_lps, prompt):
            k, j, i = np.indices(hu.shape)
            index = np.stack([i, j, k, np.ones_like(i)], axis=-1)
            points = (index @ affine_lps.T)[..., :3]
            low, high = prompt.boxes[0].min(axis=0) - 0.5, prompt.boxes[0].max(axis=0) + 0.5
            mask = np.all((points >= low) & (points <= high), axis=-1)
            for line in prompt.scribbles_outside:
                for point in line:
                    mask &= np.linalg.norm(points - point, axis=-1) > 3.0
            for line in prompt.scribbles_inside:
                for point in line:
                    mask |= np.linalg.norm(points - point, axis=-1) <= 3.0
            return mask

    ball = Ball()
    no_segmenter = 7
"""
POINTS = (
    "ball",
    "Picky",
    "Drawn",
    "Raises",
    "Writes",
    "Shape",
    "Empty",
    "Nan",
    "Words",
    "Outside",
    "Mirrored",
    "Quits",
    "Hangs",
    "Nothing",
)


def install(folder: Path, name: str, points: dict[str, str]) -> None:
    """A distribution as pip leaves one: its metadata and entry points."""
    info = folder / f"{name}-4.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 4.1\n")
    lines = "".join(f"{key} = {value}\n" for key, value in points.items())
    (info / "entry_points.txt").write_text(f"[irplan.segmenters]\n{lines}")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The distribution 'nets' on the path of Python."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "nets_for_irplan.py").write_text(textwrap.dedent(MODULE))
    points = {name.lower(): f"nets_for_irplan:{name}" for name in POINTS}
    points["absent"] = "no_such_module:thing"
    points["number"] = "nets_for_irplan:no_segmenter"
    install(folder, "nets", points)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "nets_for_irplan", raising=False)
    return folder


def case(axes: str = "supine") -> tuple[CtVolume, np.ndarray, np.ndarray]:
    """Soft tissue with 8 voxels of air around; the body; its middle."""
    grid = grid_of(axes)
    body = np.zeros(grid.shape_zyx, dtype=bool)
    body[4:-4, 8:-8, 8:-8] = True
    hu = np.where(body, 40, -1000).astype(np.int16)
    middle = grid.to_lps((np.asarray(grid.size) - 1) / 2.0)
    return CtVolume(hu, grid), body, middle


def click(at: np.ndarray, lesion_id: str = "L1") -> Prompt:
    x, y, z = np.asarray(at).tolist()
    return Prompt(lesion_id, LesionKind.NODE, (Click((x, y, z)),))


@pytest.mark.parametrize("axes", AXES)
def test_a_plug_in_makes_a_lesion_where_it_was_asked(installed, axes):
    volume, body, middle = case(axes)
    half = np.array([9.0, 0.0, 0.0])
    ends = [tuple((middle + sign * half).tolist()) for sign in (-1, 1)]
    prompts = [Prompt("T1", None, (Diameter(*ends),)), click(np.add(middle, (0.0, 9.0, 3.0)), "T2")]
    result, kept = segment_with(load_segmenter("ball"), volume, prompts, body)
    first, second = result.lesions
    assert (first.lesion_id, second.lesion_id) == ("T1", "T2")
    assert first.source is LesionSource.SEGMENTED
    assert first.document()["segmenter"] == "ball 2.5"
    assert first.centroid_lps_mm == pytest.approx(tuple(middle), abs=0.6)
    assert float(first.volume_ml) == pytest.approx(4 / 3 * np.pi * 9**3 / 1000, rel=0.03)
    assert first.volume_low_ml < first.volume_ml < first.volume_high_ml
    assert second.kind is LesionKind.NODE
    assert "segmenter_band_unknown" in {one.code for one in first.findings}
    assert [one.lesion_id for one in kept] == ["T1", "T2"]
    assert np.array_equal(kept[0].mask.mask(volume.geometry).to_full(), first.mask.to_full())


#: A plug-in that does wrong, the code and a word of what is said.
WRONG = {
    "raises": ("segmenter_failed", "MemoryError: no room for the network"),
    "writes": ("segmenter_failed", "read-only"),
    "shape": ("segmenter_mask_refused", "its shape is (39, 50, 60), not (40, 50, 60)"),
    "empty": ("segmenter_mask_refused", "it is empty"),
    "nan": ("segmenter_mask_refused", "not finite"),
    "words": ("segmenter_mask_refused", "not numbers"),
    "outside": ("segmenter_mask_refused", "lies outside the body"),
    "nothing": ("segmenter_mask_refused", "its shape is ()"),
    "mirrored": ("segmenter_mask_refused", "mm from what was drawn"),
    "quits": ("segmenter_failed", "SystemExit: no licence"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_plug_in_does_wrong_is_a_finding_that_names_it(installed, name):
    volume, body, middle = case()
    before = volume.hu.copy()
    aside = np.add(middle, (-12.0, 0.0, 0.0))
    result, kept = segment_with(load_segmenter(name), volume, [click(aside)], body)
    assert (result.lesions, kept) == ((), ())
    (told,) = result.findings
    code, word = WRONG[name]
    assert told.code == code
    assert word in told.message
    assert f"{name} 0" in told.message
    assert told.subject == "L1"
    assert np.array_equal(volume.hu, before)


def test_one_that_never_answers_is_left_where_a_person_cancels(installed):
    volume, body, middle = case()
    token, plugin = CancelToken(), load_segmenter("hangs")
    asked = threading.Timer(0.3, token.cancel)
    asked.start()
    with pytest.raises(Cancelled):
        segment_with(plugin, volume, [click(middle)], body, Task(cancel=token))
    plugin.go_on.set()
    # One that takes its time is waited for.
    result, _ = segment_with(plugin, volume, [click(middle)], body)
    assert [one.lesion_id for one in result.lesions] == ["L1"]


def test_a_click_in_air_does_not_reach_the_plug_in(installed):
    volume, body, _ = case()
    corner = volume.geometry.to_lps((1, 1, 1))
    result, _ = segment_with(load_segmenter("raises"), volume, [click(corner)], body)
    assert [one.code for one in result.findings] == ["click_outside_body"]


def test_the_list_tells_which_can_be_used_and_why_not(installed):
    listed = {one.name: one for one in offered("9.9")}
    assert next(iter(listed)) == "irplan"
    assert listed["irplan"].version == "9.9"
    assert (listed["ball"].version, listed["ball"].origin, listed["ball"].error) == (
        "2.5",
        "nets",
        "",
    )
    assert "ModuleNotFoundError" in listed["absent"].error
    assert listed["absent"].version == "4.1"
    assert "segment" in listed["number"].error


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("absent", "segmenter_broken"),
        ("number", "segmenter_broken"),
        ("dream", "unknown_segmenter"),
    ],
)
def test_one_that_cannot_be_used_is_refused_by_name(installed, name, code):
    with pytest.raises(CallError, match=name) as told:
        load_segmenter(name)
    assert told.value.code == code


def test_two_of_one_name_are_refused(installed):
    install(installed, "others", {"ball": "nets_for_irplan:Ball"})
    with pytest.raises(CallError, match="nets, others"):
        load_segmenter("ball")


def test_boxes_and_scribbles_reach_the_plug_in_as_they_were_drawn(installed):
    volume, body, middle = case()
    x, y, z = np.asarray(middle).tolist()
    box = Box((x - 8.0, y - 6.0, z - 5.0), (x + 8.0, y + 6.0, z + 5.0))
    off = Scribble(((x - 8.0, y - 6.0, z), (x - 8.0, y, z), (x - 8.0, y + 6.0, z)), inside=False)
    on = Scribble(((x + 12.0, y, z), (x + 14.0, y, z)))
    plugin = load_segmenter("drawn")
    masks = []
    for gestures in ((box,), (box, off), (box, off, on)):
        result, _ = segment_with(plugin, volume, [Prompt("T1", None, gestures)], body)
        masks.append(result.lesions[0].mask.to_full())
    index = np.argwhere(masks[0])[:, ::-1]
    points = volume.geometry.to_lps(index)
    assert np.abs(points - middle).max(axis=0) == pytest.approx((8, 6, 5), abs=1.0)
    removed, added = masks[0] & ~masks[1], masks[2] & ~masks[1]
    assert removed.any()
    assert added.any()
    gone = volume.geometry.to_lps(np.argwhere(removed)[:, ::-1])
    near = np.linalg.norm(gone[:, None] - np.asarray(off.points_lps_mm), axis=2).min(axis=1)
    assert near.max() <= 3.0
    assert not (masks[1] & ~masks[0]).any()


def test_the_name_of_one_is_found_again_from_what_a_lesion_tells(installed):
    assert named("") == "irplan"
    assert named("ball 2.5") == "ball"
    for gone in ("ball 2.4", "dream 1"):
        with pytest.raises(CallError, match=gone):
            named(gone)


def test_the_affine_takes_a_voxel_to_its_place():
    grid: GridGeometry = grid_of("oblique")
    index = np.array([3.0, 7.0, 5.0])
    assert affine_lps(grid) @ [*index, 1.0] == pytest.approx([*grid.to_lps(index), 1.0])


def saved_ct(path: Path) -> tuple[GridGeometry, np.ndarray]:
    """A file with a block of soft tissue; its grid and middle."""
    volume, _, middle = case()
    hu = np.pad(volume.hu, ((0, 0), (40, 40), (40, 40)), constant_values=-1000)
    hu[:, 45:-45, 45:-45] = 40
    start = volume.geometry.to_lps((-40, -40, 0))
    grid = GridGeometry((140, 130, 40), volume.geometry.spacing_mm, tuple(start.tolist()))
    save_volume(CtVolume(hu, grid), path)
    return grid, middle


def test_the_command_line_lists_and_uses_them(installed, tmp_path, capsys):
    grid, middle = saved_ct(tmp_path / "ct.nrrd")
    assert main(["segmenters", "--json"]) == 0
    listed = jsonio.loads(capsys.readouterr().out)["segmenters"]
    assert {one["name"] for one in listed} >= {"irplan", "ball", "absent"}
    assert main(["segmenters"]) == 0
    assert "ModuleNotFoundError" in capsys.readouterr().out
    seed = "--seed=" + ",".join(f"{value:.2f}" for value in middle)
    call = ["segment", str(tmp_path / "ct.nrrd"), seed, "--out", str(tmp_path / "m.nrrd"), "--json"]
    assert main([*call, "--segmenter", "ball"]) == 0
    (lesion,) = jsonio.loads(capsys.readouterr().out)["lesions"]
    assert (lesion["source"], lesion["segmenter"]) == ("segmented", "ball 2.5")
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "m.nrrd")))
    ml = float(np.count_nonzero(mask)) * grid.voxel_ml
    assert float(lesion["volume_ml"]) == pytest.approx(ml, abs=6e-4)
    assert main([*call, "--segmenter", "raises"]) == 4
    told = jsonio.loads(capsys.readouterr().out)
    assert told["lesions"] == []
    assert "segmenter_failed" in {one["code"] for one in told["findings"]}
    assert main([*call, "--segmenter", "dream"]) == 2
    assert "ball" in capsys.readouterr().err


def test_a_plan_of_a_plug_in_is_computed_again_without_it(installed, tmp_path, capsys):
    """Its masks and its refusals are kept with the plan: no lesion is segmented by another."""
    _, middle = saved_ct(tmp_path / "ct.nrrd")
    seeds = [np.add(middle, (shift, 0.0, 0.0)) for shift in (0.0, 14.0, -10.0)]
    call = ["plan", str(tmp_path / "ct.nrrd"), "--out", str(tmp_path / "plan"), "--json"]
    call += ["--seed=" + ",".join(f"{value:.2f}" for value in seed) for seed in seeds]
    call += ["--weight-kg", "70", "--patient-position", "supine"]
    assert main([*call, "--segmenter", "dream"]) == 2
    assert not (tmp_path / "plan").exists()
    capsys.readouterr()
    assert main([*call, "--segmenter", "picky"]) == 4
    plan = jsonio.loads(capsys.readouterr().out)
    assert [one["lesion_id"] for one in plan["lesions"]] == ["L1", "L3"]
    assert {one["segmenter"] for one in plan["lesions"]} == {"picky 1.0"}
    assert [one["source_label"] for one in plan["lesions"]] == [1, 3]
    failed = [one for one in plan["findings"] if one["code"] == "segmenter_failed"]
    assert "lesions_overlap" in {one["code"] for one in plan["findings"]}
    assert ["not my kind" in one["message"] for one in failed] == [True]
    sys.path.remove(str(installed))
    importlib.invalidate_caches()
    with pytest.raises(CallError):
        load_segmenter("picky")
    assert main(["verify", str(tmp_path / "plan"), str(tmp_path / "ct.nrrd")]) == 0, (
        capsys.readouterr().out
    )


def test_lesions_drawn_one_by_one_are_those_of_their_request(installed):
    """By irplan's own segmenter, by a plug-in, and by hand: replayed they are the same."""
    volume, _, middle = case()
    session = PlanningSession()
    session.open_volume(volume)
    session.change(lambda request: replace(request, patient_position="supine"))
    ball, own = click(middle, "L1"), np.add(middle, (0.0, 4.0, 0.0))
    session.add_lesions([ball], segmenter="ball")
    line = tuple(tuple(np.add(own, (side, 0.0, 0.0)).tolist()) for side in (-5.0, 5.0))
    session.add_lesions([Prompt("L2", None, (Diameter(*line),))])
    session.add_lesions([click(np.add(middle, (0.0, -12.0, 0.0)), "L3")], segmenter="ball")
    session.remove_lesion("L1")
    told = [one.document() for one in session.state.lesions]
    assert [(one["lesion_id"], one["segmenter"]) for one in told] == [
        ("L2", ""),
        ("L3", "ball 2.5"),
    ]
    again = session_on(volume, session.state.request)
    assert [one.document() for one in again.state.lesions] == told
    assert again.state.request == session.state.request
