"""``report.pdf``: the plan on paper, for the person at the table and for the pharmacy.

Every number comes from the plan's document (``plan.json``); the pictures come from the CT. The
first page tells who, what and how much, and everything that forbids or warns; then, for a plan that
was carried from an older scan, what changed; a card
for each superficial lesion, a page for each needle (and a second one, along it, under CT), the
lesions without a path, a 3-D view, the doses with their reasons, the syringe
sheet, the checklist, and what the plan was computed from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from reportlab.platypus import Flowable, PageBreak, Spacer

from irplan.anatomy import Anatomy
from irplan.export.needle_views import NeedleViews, needle_views, oblique_pictures
from irplan.export.pictures import Picture, lesion_picture, needle_pictures
from irplan.export.report_cards import along_part, skin_map_part, superficial_part
from irplan.export.report_doses import checklist_part, dose_part, syringe_part
from irplan.export.report_front import Person, front_part, furniture_of
from irplan.export.report_needles import (
    coverage_part,
    needle_part,
    no_path_part,
    scene_part,
)
from irplan.export.report_page import build_pdf
from irplan.export.report_sources import sources_part
from irplan.export.report_transfer import TransferPages, transfer_part
from irplan.export.scene import SceneView, plan_scene, render
from irplan.export.skin_picture import SkinCosts, skin_picture
from irplan.files import replacing
from irplan.geometry import BoolArray
from irplan.lesions.lesion import Lesion
from irplan.plan import InjectionPlan
from irplan.tasks import SILENT, Task
from irplan.trajectory.skin_map import SkinMap
from irplan.volume import CtVolume

#: Columns and most rows of a 3-D view; about 180 to the inch at half the page's width.
SCENE_PIXELS = (640, 780)
_FROM_FRONT = (0.0, -1.0, 0.0)


def write_report(
    plan: InjectionPlan,
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy | None,
    target: Path,
    task: Task = SILENT,
    skin_maps: Sequence[SkinMap] = (),
    changes: TransferPages | None = None,
) -> None:
    """Write the report of a plan. Equal inputs give equal bytes, but for the plan's ``run``.

    Args:
        volume: the CT that the plan was made on.
        body: the patient without table, (z, y, x) on the CT's grid.
        anatomy: for bone in the 3-D view and the nearest structure; may be absent.
        skin_maps: what the skin offers for each lesion; a page each where given.
        changes: what became of the older plan that this one was carried from.

    Raises:
        InputRefused: ``target`` cannot be written.
        Cancelled: the task was cancelled; ``target`` is as it was.
    """
    render_report(
        plan.document(), plan.lesions, volume, body, anatomy, target, task, skin_maps, changes
    )


def render_report(
    document: Mapping[str, Any],
    lesions: Sequence[Lesion],
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy | None,
    target: Path,
    task: Task = SILENT,
    skin_maps: Sequence[SkinMap] = (),
    changes: TransferPages | None = None,
) -> None:
    """As :func:`write_report`, from the plan's document and its lesions with their masks."""
    steps = task.part("writing the report")
    needles = document["needles"]
    total = len(needles) + 2
    biopsies = document.get("biopsies", ())
    pictures: dict[str, tuple[Picture, Picture]] = {}
    cards = document.get("cards", ())
    of_needle = {one["needle_id"]: one for one in cards if one["kind"] == "needle"}
    along: dict[str, tuple[NeedleViews, Picture | None]] = {}
    for done, needle in enumerate(needles):
        steps.step(done, total)
        name = needle["needle_id"]
        pictures[name] = needle_pictures(needle, volume, lesions, anatomy, biopsies)
        if name in of_needle:
            marked = [(name, needle["entry_lps_mm"])]
            skin = skin_picture(
                of_needle[name]["skin"], marked, body, volume.geometry, anatomy, lesions
            )
            along[name] = needle_views(needle, volume, lesions, anatomy, biopsies), skin
    of_lesion = {
        one["lesion_id"]: _card_pictures(one, document, lesions, volume, body, anatomy)
        for one in cards
        if one["kind"] != "needle"
    }
    without = {
        one.lesion_id: lesion_picture(one, volume, lesions)
        for one in lesions
        if not any(one.lesion_id in needle["lesion_ids"] for needle in needles)
    }
    maps = [
        (one, picture)
        for one in skin_maps
        if one.lesion_id
        if (picture := _map_picture(one, document, lesions, volume, body, anatomy)) is not None
    ]
    steps.step(len(needles), total)
    scenes = _scenes(document, lesions, volume, body, anatomy)
    steps.step(len(needles) + 1, total)
    person = Person.of(volume.identity)

    def story() -> list[Flowable]:
        parts = [
            front_part(document, person),
            transfer_part(changes),
            *(
                superficial_part(document, one, of_lesion[one["lesion_id"]])
                for one in cards
                if one["kind"] != "needle"
            ),
            *_needle_parts(document, pictures, along, of_needle),
            no_path_part(document, without),
            [*scene_part(scenes), *coverage_part(document)],
            skin_map_part(maps),
            dose_part(document),
            syringe_part(document, person),
            checklist_part(document),
            sources_part(document),
        ]
        return parts_on_pages(parts)

    with replacing(target) as temporary:
        title = f"Injection plan {document['plan_id']}"
        build_pdf(story, temporary, furniture_of(document, person), title)
    steps.step(total, total)


def parts_on_pages(parts: Iterable[Sequence[Flowable]]) -> list[Flowable]:
    """The parts one after the other, each from a new page on."""
    flowables: list[Flowable] = []
    for part in parts:
        if part and flowables:
            # On a page that is just full, space at its end would take a page of its own.
            while isinstance(flowables[-1], Spacer):
                flowables.pop()
            flowables.append(PageBreak())
        flowables += part
    return flowables


def _needle_parts(
    document: Mapping[str, Any],
    pictures: Mapping[str, tuple[Picture, Picture]],
    along: Mapping[str, tuple[NeedleViews, Picture | None]],
    cards: Mapping[str, Mapping[str, Any]],
) -> Iterator[list[Flowable]]:
    """A page for each needle, and a second one with the views along it where it has a card."""
    for needle in document["needles"]:
        name = needle["needle_id"]
        yield needle_part(document, needle, pictures[name], cards.get(name))
        if name in along:
            yield along_part(document, needle, *along[name])


def _card_pictures(
    card: Mapping[str, Any],
    document: Mapping[str, Any],
    lesions: Sequence[Lesion],
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy | None,
) -> list[Picture]:
    """The skin with the entry, and the plane along the first pass; [] where CT shows nothing."""
    if card["skin"] is None:
        return []
    own = [one for one in document["needles"] if card["lesion_id"] in one["lesion_ids"]]
    marked = [(one["needle_id"], one["entry_lps_mm"]) for one in own if one["pass"] == 1]
    marked = marked or [("nearest safe skin", card["skin"]["point_lps_mm"])]
    skin = skin_picture(card["skin"], marked, body, volume.geometry, anatomy, lesions)
    lesion = next(one for one in lesions if one.lesion_id == card["lesion_id"])
    slices = (
        oblique_pictures(own[0], volume, lesions, anatomy, document.get("biopsies", ()))[:1]
        if own
        else (lesion_picture(lesion, volume, lesions),)
    )
    return [one for one in (skin, *slices) if one is not None]


def _map_picture(
    skin: SkinMap,
    document: Mapping[str, Any],
    lesions: Sequence[Lesion],
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy | None,
) -> Picture | None:
    """The costs of one lesion on the skin, around its own entry or the cheapest point.

    The grid's midline is that of a card; without one no midline is drawn.
    """
    own = [one for one in document["needles"] if skin.lesion_id in one["lesion_ids"]]
    if own:
        point = own[0]["entry_lps_mm"]
    elif skin.open_points.any():
        point = skin.points_lps_mm[int(np.nanargmin(skin.cost))]
    else:
        return None
    place: Mapping[str, Any] = next(
        (
            one["skin"]
            for one in document.get("cards", ())
            if one["skin"] is not None and list(one["skin"]["point_lps_mm"]) == list(point)
        ),
        {"left_of_midline_mm": None, "behind_middle_mm": None, "landmarks": []},
    )
    return skin_picture(
        {**place, "point_lps_mm": point},
        [(one["needle_id"], one["entry_lps_mm"]) for one in own if one["pass"] == 1],
        body,
        volume.geometry,
        anatomy,
        lesions,
        SkinCosts(skin.points_lps_mm, skin.cost),
    )


def _scenes(
    document: Mapping[str, Any],
    lesions: Sequence[Lesion],
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy | None,
) -> tuple[SceneView, ...]:
    """From the front, and from the side on which the needles enter."""
    needles = document["needles"]
    surfaces = plan_scene(body, anatomy, lesions, needles, volume.geometry)
    outward = [
        float(entry) - float(tip)
        for needle in needles
        for entry, tip in [(needle["entry_lps_mm"][0], needle["tip_lps_mm"][0])]
    ]
    leftwards = sum(outward) >= 0
    side = (1.0, 0.0, 0.0) if leftwards else (-1.0, 0.0, 0.0)
    name = "left" if leftwards else "right"
    names = [
        (one.lesion_id, one.centroid_lps_mm) for one in lesions if one.centroid_lps_mm is not None
    ]
    views = (
        render(surfaces, _FROM_FRONT, SCENE_PIXELS, "Seen from the front.", names),
        render(surfaces, side, SCENE_PIXELS, f"Seen from the patient's {name}.", names),
    )
    return tuple(view for view in views if view is not None)
