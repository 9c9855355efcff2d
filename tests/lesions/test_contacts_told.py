"""What the command line tells of contacts: bodies whose distances are plain geometry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from irplan import jsonio
from irplan.cli.main import main
from irplan.geometry import GridGeometry
from irplan.phantom import PhantomSpec, build_phantom
from irplan.volume import CtVolume
from irplan.volume_io import save_label_map, save_volume

from .volumes import centres_lps_mm, ellipsoid_mask

GRID = GridGeometry((110, 90, 50), (1.5, 1.5, 2.0), (-81.75, -66.75, -49.0))
RADIUS = 9.0
CENTRE = np.array([3.0, -2.0, 1.0])
#: A cylinder along z; a box that holds the lesion; one beside it. All in LPS mm.
VESSEL_AT, VESSEL_RADIUS = np.array([27.0, -2.0]), 7.0
LIVER_LOW, LIVER_HIGH = np.array([-30.0, -40.0, -40.0]), np.array([27.0, 21.0, 40.0])
LUNG_FROM_Y = 33.0
#: The skin is nearer than the ends of the scan, or it could not be told.
BODY_HALF = np.array([70.0, 44.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A block of soft tissue in air as CT, a ball as mask, three structures as label map."""
    made = tmp_path_factory.mktemp("contacts")
    points = centres_lps_mm(GRID)
    body = np.all(np.abs(points[..., :2]) <= BODY_HALF, axis=-1)
    hu = np.where(body, 40, -1000).astype(np.int16)
    save_volume(CtVolume(hu, GRID), made / "ct.nrrd")
    ball = ellipsoid_mask(GRID, CENTRE, (RADIUS,) * 3)
    save_label_map(ball.astype(np.uint8), GRID, made / "mask.nrrd")
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    labels[np.all((points >= LIVER_LOW) & (points <= LIVER_HIGH), axis=-1)] = 1
    labels[np.linalg.norm(points[..., :2] - VESSEL_AT, axis=-1) <= VESSEL_RADIUS] = 2
    labels[body & (points[..., 1] >= LUNG_FROM_Y)] = 3
    save_label_map(labels, GRID, made / "labels.nrrd")
    names = {"1": "liver", "2": "aorta", "3": "lung_left"}
    (made / "names.json").write_text(json.dumps(names))
    (made / "one.json").write_text(json.dumps({"2": "aorta"}))
    save_label_map(np.where(labels == 2, 2, 0).astype(np.uint8), GRID, made / "one.nrrd")
    return made


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main([*map(str, words), "--json"]) == 0
    (lesion,) = jsonio.loads(capsys.readouterr().out)["lesions"]
    return {one["what"]: one for one in lesion["contacts"]}


def skin_mm() -> float:
    return float((BODY_HALF - np.abs(CENTRE[:2])).min()) - RADIUS


def test_without_anatomy_all_but_the_skin_is_unknown(folder, capsys) -> None:
    found = told(capsys, "measure", folder / "ct.nrrd", "--mask", folder / "mask.nrrd")
    assert {name: one["state"] for name, one in found.items()} == {
        "skin": "clear",
        "pleura": "unknown",
        "capsule": "unknown",
        "large_vessel": "unknown",
    }
    assert float(found["skin"]["distance_mm"]) == pytest.approx(skin_mm(), abs=1.5)
    assert {found[name]["distance_mm"] for name in ("pleura", "capsule", "large_vessel")} == {None}


def test_a_label_map_tells_the_distances_of_geometry(folder, capsys) -> None:
    found = told(
        capsys, "measure", folder / "ct.nrrd", "--mask", folder / "mask.nrrd",
        "--anatomy", folder / "labels.nrrd", "--names", folder / "names.json",
    )  # fmt: skip
    vessel = float(np.linalg.norm(VESSEL_AT - CENTRE[:2])) - VESSEL_RADIUS - RADIUS
    capsule = float(min((CENTRE - LIVER_LOW).min(), (LIVER_HIGH - CENTRE).min())) - RADIUS
    lung = LUNG_FROM_Y - CENTRE[1] - RADIUS
    # A voxel's size, since bodies end on voxels; a distance is rounded down.
    for name, expected, structure in (
        ("large_vessel", vessel, "aorta"),
        ("capsule", capsule, "outside of the liver"),
        ("pleura", lung, "lung"),
        ("skin", skin_mm(), "skin"),
    ):
        assert float(found[name]["distance_mm"]) == pytest.approx(expected, abs=1.6), name
        assert (found[name]["state"], found[name]["structure"]) == ("clear", structure)


def test_what_the_label_map_does_not_name_stays_unknown(folder, capsys) -> None:
    found = told(
        capsys, "measure", folder / "ct.nrrd", "--mask", folder / "mask.nrrd",
        "--anatomy", folder / "one.nrrd", "--names", folder / "one.json",
    )  # fmt: skip
    assert found["large_vessel"]["state"] == "clear"
    assert found["pleura"]["state"] == "unknown"
    assert main(
        ["measure", str(folder / "ct.nrrd"), "--mask", str(folder / "mask.nrrd"),
         "--names", str(folder / "one.json")]
    ) == 2  # fmt: skip


@pytest.mark.long
def test_a_click_tells_what_the_computed_anatomy_shows(tmp_path, capsys) -> None:
    """The lung metastasis of the made-up patient, against the truth of its chest."""
    phantom = build_phantom(
        PhantomSpec(
            columns=150, rows=150, slices=44, fov_mm=420, spacing_z_mm=4.0,
            centre_mm=(0, 8, 140), samples=1,
        )
    )  # fmt: skip
    truth = phantom.lesion("L7")
    save_volume(phantom.volume(), tmp_path / "ct.nrrd")
    seed = "--seed=" + ",".join(f"{value:.2f}" for value in truth.centre_lps_mm)
    found = told(
        capsys, "segment", tmp_path / "ct.nrrd", seed, "--kind", "lung",
        "--out", tmp_path / "m.nrrd", "--contacts",
    )  # fmt: skip
    lung = np.isin(
        phantom.labels, [label for label, name in phantom.label_names.items() if "lung" in name]
    )
    spacing = np.asarray(phantom.grid.spacing_zyx_mm)
    inside = phantom.lesion_labels == truth.label
    wall = cKDTree(np.argwhere(~lung & ~inside & (phantom.labels > 0)) * spacing)
    gap, _ = wall.query(np.argwhere(inside) * spacing)
    assert found["pleura"]["structure"] == "chest wall or mediastinum"
    # From centre to centre is up to a voxel more than from face to face.
    assert float(found["pleura"]["distance_mm"]) == pytest.approx(gap.min(), abs=5.0)
    assert "capsule" not in found or found["capsule"]["state"] == "unknown"
    assert found["large_vessel"]["state"] == "clear"
