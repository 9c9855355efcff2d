"""Makes docs/needles.md and its pictures: every needle of the made-up patient, as it is looked at.

    python scripts/make_needle_pages.py [--columns 192] [--slices 120]

The patient is the phantom; no real scan is read. Each picture is one file below 150 kB.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from irplan.anatomy import Anatomy
from irplan.export.needle_views import needle_views
from irplan.export.raster import RgbArray, draw_picture, save_png
from irplan.export.skin_picture import skin_picture
from irplan.geometry import BoolArray
from irplan.lesions import Diameter, Prompt
from irplan.lesions.lesion import Lesion
from irplan.phantom import PhantomSpec, build_phantom
from irplan.phantom.gestures import diameters
from irplan.session import PlanningSession
from irplan.volume import CtVolume

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures" / "needles"
PAGE = ROOT / "docs" / "needles.md"
SHOWN = 400

HEAD = """# Every needle of the sample patient, looked at

Made by `python scripts/make_needle_pages.py` from the phantom; no real scan is shown. For each
needle, from left to right: the plane that holds it and lies as near to axial as it can, the plane
that holds it and stands square to the first, and the needle's eye (from the entry along the needle;
circles at 5, 10 and 20 mm from the axis; outlines are the silhouettes of what lies beside the shaft
between skin and tip). Letters at the edges are worked out from the direction cosines: the patient's
right is on the left of an axial picture. Numbers along the needle are millimetres from the skin;
#1, #2 … are the deposits in the order in which they are given; dotted circles round them are the
illustrative spheres.

Orange: the lesion injected. Blue: the nearest structure. Cream: bone. Red: vessels and heart.
Violet: lung and airway. Brown: bowel. Green outlines: other organs. Yellow: nerves, spinal canal.

The report prints the same for each pass under CT, with four slices square to the needle and the
skin; the window shows them under *Cards and views*.
"""


Planned = tuple[CtVolume, BoolArray, Anatomy, tuple[Lesion, ...], dict[str, Any]]


def planned(columns: int, slices: int) -> Planned:
    """The phantom with all its lesions, planned: CT, body, anatomy, lesions, the document."""
    spec = PhantomSpec(columns=columns, rows=columns, slices=slices)
    phantom = build_phantom(spec)
    session = PlanningSession()
    session.open_volume(phantom.volume())
    session.change(lambda request: replace(request, weight_kg=Decimal("70.5")))
    prompts = []
    for lesion in phantom.lesions:
        lines = [
            Diameter(_triple(start), _triple(end)) for start, end in diameters(lesion)
        ]  # fmt: skip
        prompts.append(Prompt(lesion.lesion_id, None, tuple(lines)))
    session.add_lesions(prompts)
    plan = session.plan()
    scan = session.scan
    return scan.volume, scan.body, session.find_anatomy(), plan.lesions, plan.document()


def _triple(point: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in point)
    return x, y, z


def side_by_side(pictures: list[RgbArray]) -> RgbArray:
    """Pictures of one height in a row, with a narrow white gap."""
    high = max(one.shape[0] for one in pictures)
    padded = [
        np.pad(one, ((0, high - one.shape[0]), (0, 6), (0, 0)), constant_values=255)
        for one in pictures
    ]
    return np.hstack(padded)[:, :-6]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--columns", type=int, default=192)
    parser.add_argument("--slices", type=int, default=120)
    arguments = parser.parse_args()
    volume, body, anatomy, lesions, document = planned(arguments.columns, arguments.slices)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    parts = [HEAD]
    for needle in document["needles"]:
        views = needle_views(needle, volume, lesions, anatomy)
        shown = [
            draw_picture(one, SHOWN / one.view.columns)
            for one in (views.level, views.upright, views.eye)
        ]
        name = f"{needle['needle_id']}.png"
        save_png(side_by_side(shown), PICTURES / name, small=True)
        parts.append(_words(needle, name, views.eye.caption))
    for card in document["cards"]:
        if card["kind"] == "superficial":
            names = [
                (one["needle_id"], one["entry_lps_mm"])
                for one in document["needles"]
                if card["lesion_id"] in one["lesion_ids"] and one["pass"] == 1
            ]
            skin = skin_picture(card["skin"], names, body, volume.geometry, anatomy, lesions)
            if skin is not None:
                name = PICTURES / f"skin_{card['lesion_id']}.png"
                _save_skin(draw_picture(skin), name)
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    for path in sorted(PICTURES.glob("*.png")):
        print(f"{path.name}: {path.stat().st_size // 1000} kB")
    return 0


def _save_skin(pixels: RgbArray, target: Path) -> None:
    """The skin has colours of its own: the 160 that stand for them best."""
    image = Image.fromarray(pixels).quantize(160, dither=Image.Dither.NONE)
    image.save(target, optimize=True)


def _words(needle: dict[str, Any], name: str, caption: str) -> str:
    doses = ", ".join(
        f"#{one['order']} {sum(one['ml'].values()):.2f} mL" for one in needle["deposits"]
    )
    lesions = ", ".join(needle["lesion_ids"])
    crossed = ", ".join(needle["crosses_mm"]) or "nothing named"
    eye = caption.split(". Window")[0]
    return f"""## {needle["needle_id"]} → {lesions}

{needle["guidance"]}, {needle["gauge"]} G × {needle["length_mm"]} mm, {needle["depth_mm"]} mm deep,
axial angle {needle["axial_angle_deg"]}°, craniocaudal {needle["craniocaudal_angle_deg"]}°; crosses
{crossed}; deposits {doses or "none"}.

![{needle["needle_id"]} in its two planes and along itself](pictures/needles/{name})

Needle's eye: {eye[0].lower() + eye[1:]}.
"""


if __name__ == "__main__":
    sys.exit(main())
