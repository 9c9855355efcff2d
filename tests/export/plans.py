"""A small made-up patient and plan documents in the shape of ``irplan.plan/1``, made by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from irplan.anatomy import Anatomy, Structure
from irplan.geometry import BoolArray, GridGeometry
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask, LesionSource
from irplan.volume import CtVolume, ScanIdentity

D = Decimal

#: Body, lesion and bone in LPS mm: (centre, half axes) of ellipsoids.
BODY = ((0.0, 0.0, 0.0), (70.0, 50.0, 90.0))
LESION = ((30.0, -10.0, 10.0), (12.0, 10.0, 10.0))
SMALL = ((-35.0, 5.0, -20.0), (7.0, 7.0, 7.0))
BONE = ((0.0, 30.0, 0.0), (10.0, 10.0, 90.0))


def inside(points: Any, shape: tuple[tuple[float, ...], tuple[float, ...]]) -> BoolArray:
    centre, half = np.array(shape[0]), np.array(shape[1])
    result: BoolArray = (((points - centre) / half) ** 2).sum(axis=-1) <= 1.0
    return result


@dataclass(frozen=True)
class Patient:
    volume: CtVolume
    body: BoolArray
    anatomy: Anatomy
    lesions: tuple[Lesion, ...]


def grid_of(direction: tuple[float, ...] | None = None) -> GridGeometry:
    """A grid that covers the body; with a direction, the same voxels turned about the middle."""
    size, spacing = (80, 60, 50), (2.0, 2.0, 4.0)
    plain = GridGeometry(size, spacing, (0.0, 0.0, 0.0), direction or (1, 0, 0, 0, 1, 0, 0, 0, 1))
    middle = plain.to_lps((np.asarray(size) - 1) / 2.0)
    return GridGeometry(size, spacing, tuple(-middle), plain.direction)  # type: ignore[arg-type]


def made_patient(grid: GridGeometry | None = None) -> Patient:
    """Soft tissue 40 HU, lesions 80, bone 600, air -1000; asymmetric in every direction."""
    grid = grid or grid_of()
    columns, rows, slices = grid.size
    index = np.stack(
        np.meshgrid(np.arange(slices), np.arange(rows), np.arange(columns), indexing="ij"), axis=-1
    )[..., ::-1]
    points = grid.to_lps(index)
    hu = np.full(grid.shape_zyx, -1000, np.int16)
    body, bone = inside(points, BODY), inside(points, BONE)
    hu[body] = 40
    hu[bone & body] = 600
    lesions = []
    for number, (shape, kind) in enumerate(((LESION, LesionKind.LIVER), (SMALL, None)), 1):
        mask = inside(points, shape)
        hu[mask] = 80
        ends = (
            (shape[0][0] - shape[1][0], *shape[0][1:]),
            (shape[0][0] + shape[1][0], *shape[0][1:]),
        )
        lesions.append(
            Lesion(
                lesion_id=f"L{number}",
                label=number,
                source=LesionSource.IMPORTED,
                kind=kind,
                name="ganglion axillaire opéré" if number == 1 else "",
                site="liver" if number == 1 else "",
                side="left" if number == 1 else "",
                volume_ml=D("5.027") if number == 1 else D("1.437"),
                volume_low_ml=D("4.500"),
                volume_high_ml=D("5.600"),
                longest_diameter_mm=2 * shape[1][0],
                longest_diameter_ends_lps_mm=ends,  # type: ignore[arg-type]
                short_axis_mm=2 * shape[1][1],
                centroid_lps_mm=shape[0],  # type: ignore[arg-type]
                mask=LesionMask.from_full(mask, grid),
            )
        )
    labels = (bone & body).astype(np.uint8)
    anatomy = Anatomy(labels, grid, (Structure("bone", 1, D("66.000"), "computed", "high"),))
    identity = ScanIdentity(
        patient_id="HOSP-4711",
        patient_name="Dupré^Zoë",
        patient_birth_date="1961-02-03",
        patient_sex="F",
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        frame_of_reference_uid="1.2.3.5",
        patient_position="HFS",
        acquired="2026-01-05",
    )
    return Patient(CtVolume(hu, grid, identity), body, anatomy, tuple(lesions))


def needle_document(
    needle_id: str = "N1", lesion_id: str = "L1", entry: Any = None, tip: Any = None
) -> dict[str, Any]:
    entry = entry or [D("45.00"), D("-38.00"), D("22.00")]
    tip = tip or [D("31.00"), D("-11.00"), D("11.00")]
    length = float(np.linalg.norm(np.array(entry, float) - np.array(tip, float)))
    return {
        "needle_id": needle_id,
        "entry_id": "E1",
        "pass": 1,
        "guidance": "ct",
        "needle_type": "chiba",
        "gauge": 22,
        "length_mm": D("90"),
        "entry_lps_mm": entry,
        "tip_lps_mm": tip,
        "depth_mm": D(f"{length:.1f}"),
        "lesion_ids": [lesion_id],
        "axial_angle_deg": D("-27.4"),
        "craniocaudal_angle_deg": D("-19.9"),
        "skin_angle_deg": D("12.3"),
        "clearance_mm": {"bone": D("31.4"), "lung": D("8.9")},
        "crosses_mm": {"muscle": D("9.1")},
        "pleural_crossings": 0,
        "hit_probability": D("0.8312"),
        "deposits": [
            {
                "deposit_id": f"{needle_id}D1",
                "order": 1,
                "lesion_id": lesion_id,
                "position_lps_mm": tip,
                "ml": {"ipilimumab": D("3.27")},
                "radius_mm": [D("6.1"), D("10.2")],
            }
        ],
        "rank": 1,
        "dominated": False,
    }


def plan_document(
    patient: Patient, change: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """A plan for the made-up patient: L1 by a needle, L2 without a safe path."""
    shares = (("L1", "5.027", "0.7777", "3.27", "16.35"), ("L2", "1.437", "0.2223", "0.93", "4.65"))
    document: dict[str, Any] = {
        "schema": "irplan.plan/1",
        "irplan_version": "0.1.0",
        "plan_id": "0123456789abcdef0123456789abcdef",
        "version": 1,
        "case": {
            "patient_id": "HOSP-4711",
            "study_instance_uid": "1.2.3",
            "series_instance_uid": "1.2.3.4",
            "frame_of_reference_uid": "1.2.3.5",
            "image_date": "2026-01-05",
            "patient_position": "supine",
            "scan_position": "HFS",
            "contrast": "",
        },
        "geometry": {
            "size": [80, 60, 50],
            "spacing_mm": [D("2.000000"), D("2.000000"), D("4.000000")],
            "origin_lps_mm": [D(0), D(0), D(0)],
            "direction": [D(1)],
            "orientation": "LPS",
        },
        "lesions": [lesion.document() for lesion in patient.lesions],
        "allocation": {
            "protocol": {
                "name": "nivipit",
                "version": "1",
                "split": "volume",
                "sources": {"amount": {"value": D("0.3"), "source": "published", "origin": "a"}},
            },
            "weight_kg": D("70"),
            "increment_ml": D("0.01"),
            "drugs": [
                {
                    "drug": "ipilimumab",
                    "concentration_mg_per_ml": D("5"),
                    "ordered_mg": D("21.0"),
                    "caps": [],
                    "prescribed_mg": D("21.0"),
                    "prescribed_ml": D("4.2"),
                    "allocated_mg": D("21.00"),
                    "allocated_ml": D("4.20"),
                    "residual_mg": D("0"),
                    "residual_ml": D("0"),
                    "residual_reasons": [],
                    "lesions": [
                        {
                            "lesion_id": lesion_id,
                            "volume_ml": D(volume),
                            "share": D(share),
                            "ml": D(ml),
                            "ml_low": D(ml) - D("0.2"),
                            "ml_high": D(ml) + D("0.2"),
                            "mg": D(mg),
                            "limits": [],
                            "why": f"{volume} mL of 6.464 mL: {share} of 4.20 mL",
                        }
                        for lesion_id, volume, share, ml, mg in shares
                    ],
                }
            ],
            "excluded": [],
            "syringes": [
                {
                    "lesion_id": "L1", "drug": "ipilimumab", "give_ml": D("3.27"),
                    "dead_space_ml": D("0.07"), "draw_ml": D("3.34"),
                    "mg": {"ipilimumab": D("16.35")},
                    "syringes": [
                        {"syringe_ml": D("3"), "graduation_ml": D("0.1"), "draw_ml": D("3"),
                         "give_ml": D("3")},
                        {"syringe_ml": D("1"), "graduation_ml": D("0.01"), "draw_ml": D("0.34"),
                         "give_ml": D("0.27")},
                    ],
                    "label": "L1 liver ipilimumab 3.27 mL", "label_fr": "L1 foie ipilimumab",
                    "lot": "", "expiry": "",
                },
                {
                    "lesion_id": "L2", "drug": "ipilimumab", "give_ml": D("0.93"),
                    "dead_space_ml": D("0.07"), "draw_ml": D("1"),
                    "mg": {"ipilimumab": D("4.65")}, "syringes": [],
                    "label": "L2 ipilimumab 0.93 mL", "label_fr": "L2 ipilimumab",
                    "lot": "", "expiry": "",
                },
            ],
            "vials": [
                {
                    "drug": "ipilimumab", "given_ml": D("4.20"), "drawn_ml": D("4.34"),
                    "vials": [{"mg": D("50"), "ml": D("10"), "count": 1}], "waste_ml": D("5.66"),
                    "waste_mg": D("28.30"), "use_within_hours": D("24"), "lot": "", "expiry": "",
                }
            ],
        },
        "structures": [one.document() for one in patient.anatomy.structures],
        "unknown_structures": ["hepatic vessels", "bowel"],
        "needles": [needle_document()],
        "alternatives": [],
        "unreachable": [
            {
                "lesion_id": "L2",
                "reason": "every straight path comes too near to bone",
                "candidates": 1200,
                "ruled_out": {"bone": 1100, "length": 100},
                "nearest_relaxation": {
                    "constraint": "bone",
                    "limit": D("2.0"),
                    "needed": D("1.2"),
                    "unit": "mm",
                    "entry_lps_mm": [D(0), D(0), D(0)],
                    "tip_lps_mm": [D(0), D(0), D(0)],
                },
            }
        ],
        "checklist": [
            {"code": "inr", "text": "INR ≤ 1.5, platelets > 50 G/L", "applies_to": "visit"}
        ],
        "inputs": [{"name": "ct", "sha256": "ab" * 32}],
        "settings": {"constraints": {"bone_mm": D("2.0")}, "request": {"visit": 1, "targets": []}},
        "findings": [
            {"code": "vessels_unknown", "severity": "warn", "message": "none < 3 mm & more",
             "subject": "L1", "accepted": None},
            {"code": "reading_note", "severity": "info", "message": "read 50 slices", "subject": "",
             "accepted": None},
        ],
        "run": {"created": "2026-01-19T09:00:00+00:00", "host": "somewhere"},
    }  # fmt: skip
    if change:
        document = copy.deepcopy(document)
        change(document)
    return document
