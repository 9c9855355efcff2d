"""``irplan segment``, ``measure`` and ``anatomy``: lesions and what lies around them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from irplan.cli import options as opt
from irplan.cli.output import emit, say, tell_findings, tell_table, terminal_task

if TYPE_CHECKING:
    from irplan.findings import Finding
    from irplan.geometry import BoolArray, PointLps
    from irplan.lesions import Prompt
    from irplan.lesions.lesion import Lesion
    from irplan.tasks import Task
    from irplan.volume import CtVolume

INCOMPLETE = 4


Contacts = Annotated[
    bool,
    typer.Option(
        "--contacts",
        help="find the anatomy too, and tell what each lesion touches: skin, pleura, capsule of "
        "the liver, large vessels",
    ),
]
LabelMap = Annotated[
    Path | None,
    typer.Option(
        "--anatomy",
        help="as --contacts, with a label map that replaces or joins the computed structures",
    ),
]
Names = Annotated[
    Path | None, typer.Option("--names", help="JSON label → name, of the label map's structures")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("segment")(segment)
    app.command("measure")(measure)
    app.command("segmenters")(segmenters)
    app.command("anatomy")(anatomy)


def segment(
    path: opt.ScanPath,
    out: Annotated[Path, typer.Option("--out", help="MASK.nrrd, .nii.gz or .dcm (SEG)")],
    seed: opt.Seeds = None,
    stroke: opt.Strokes = None,
    clicks: opt.Clicks = None,
    kind: opt.Kind = "auto",
    segmenter: opt.Segmenter = "irplan",
    contacts: Contacts = False,
    anatomy: LabelMap = None,
    names: Names = None,
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Segment a lesion from each seed or stroke, or those that a CSV of clicks names."""
    from irplan.body import find_body
    from irplan.lesions import segment as segment_prompts
    from irplan.lesions.plugins import BUILT_IN, load_segmenter, segment_with
    from irplan.volume_io import load_volume

    check_mask_name(out)
    check_names(anatomy, names)
    prompts = prompts_of(seed, stroke, clicks, kind)
    # A plug-in that is not there is told before the scan is read.
    plugin = None if segmenter == BUILT_IN else load_segmenter(segmenter)
    with terminal_task("segmenting") as task:
        volume = load_volume(path, series, task.part("reading the CT"))
        body = find_body(volume, task.part("finding the patient's outline"))
        if plugin is None:
            result = segment_prompts(volume, prompts, body, task)
        else:
            result, _ = segment_with(plugin, volume, prompts, body, task)
        lesions, found = result.lesions, (*volume.findings, *result.findings)
        if contacts or anatomy is not None:
            lesions, told = _in_anatomy(volume, body, lesions, anatomy, names, task)
            found = (*found, *told)
        write_mask(volume, lesions, out)
    _tell(lesions, found, json)
    return 0 if len(lesions) == len(prompts) else INCOMPLETE


def segmenters(json: opt.Json = False) -> int:
    """List the segmenters: irplan's own, and the plug-ins that are installed."""
    from irplan import __version__
    from irplan.documents import envelope
    from irplan.lesions.plugins import offered

    found = offered(__version__)
    if json:
        emit(envelope("segmenters", {"segmenters": [one.document() for one in found]}))
        return 0
    rows = [(one.name, one.version, one.origin, one.error or "usable") for one in found]
    tell_table(("segmenter", "version", "from", "state"), rows)
    return 0


def measure(
    path: opt.ScanPath,
    mask: Annotated[Path, typer.Option("--mask", help="NRRD, NIfTI, MHA, DICOM SEG or RTSTRUCT")],
    ids: opt.Ids = None,
    contacts: Contacts = False,
    anatomy: LabelMap = None,
    names: Names = None,
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Measure lesions whose masks were made elsewhere."""
    from irplan.body import find_body
    from irplan.lesions import import_masks
    from irplan.volume_io import load_volume

    check_names(anatomy, names)
    with terminal_task("measuring") as task:
        volume = load_volume(path, series, task.part("reading the CT"))
        body = find_body(volume, task.part("finding the patient's outline"))
        result = import_masks(mask, volume, ids, task, body)
        lesions, found = result.lesions, (*volume.findings, *result.findings)
        if contacts or anatomy is not None:
            lesions, told = _in_anatomy(volume, body, lesions, anatomy, names, task)
            found = (*found, *told)
    _tell(lesions, found, json)
    return 0


def _in_anatomy(
    volume: CtVolume,
    body: BoolArray,
    lesions: tuple[Lesion, ...],
    labels: Path | None,
    names: Path | None,
    task: Task,
) -> tuple[tuple[Lesion, ...], tuple[Finding, ...]]:
    """The lesions with what they touch, and what is to be known of the anatomy."""
    from irplan.anatomy import build_anatomy
    from irplan.casework import Scan, in_anatomy

    part = task.part("finding the anatomy")
    anatomy = build_anatomy(volume, body, lesions, labels, names, part)
    return in_anatomy(Scan(volume, body), lesions, anatomy), anatomy.findings


def anatomy(
    path: opt.ScanPath,
    out: Annotated[Path, typer.Option("--out", help="LABELS.nrrd or .nii.gz")],
    imported: Annotated[
        Path | None, typer.Option("--import", help="label map that replaces or joins the computed")
    ] = None,
    names: Annotated[Path | None, typer.Option("--names", help="JSON label → name")] = None,
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Find what the planner avoids or crosses, and say what nobody found."""
    from irplan.anatomy import build_anatomy
    from irplan.body import find_body
    from irplan.documents import envelope
    from irplan.volume_io import check_volume_name, load_volume, save_label_map

    check_volume_name(out)
    with terminal_task("finding the anatomy") as task:
        volume = load_volume(path, series, task.part("reading the CT"))
        body = find_body(volume, task.part("finding the patient's outline"))
        found = build_anatomy(volume, body, (), imported, names, task)
        save_label_map(found.labels, volume.geometry, out)
    findings = (*volume.findings, *found.findings)
    if json:
        structures = [structure.document() for structure in found.structures]
        body_document = {"structures": structures, "unknown": list(found.unknown)}
        emit(envelope("anatomy", body_document, findings))
        return 0
    rows = [(one.label, one.name, one.volume_ml, one.source) for one in found.structures]
    tell_table(("label", "structure", "mL", "source"), rows)
    say("unknown: " + (", ".join(found.unknown) or "nothing"))
    tell_findings(findings)
    return 0


def prompts_of(
    seeds: list[str] | None, strokes: list[str] | None, clicks: Path | None, kind: str
) -> tuple[Prompt, ...]:
    """The gestures of a call: seeds first, then strokes; or those of a CSV.

    Raises:
        CallError: none at all, both ways at once, or a kind that does not exist.
    """
    from irplan.errors import CallError
    from irplan.geometry import parse_point
    from irplan.lesions.gestures import kind_from, prompts_from, read_clicks

    if clicks is not None:
        if seeds or strokes:
            raise CallError("two_ways", "--clicks names its lesions itself; give no seed or stroke")
        return read_clicks(clicks)
    prompts = prompts_from(
        [parse_point(text, "--seed") for text in seeds or ()],
        [_stroke(text) for text in strokes or ()],
        kind_from(kind, "--kind"),
    )
    if not prompts:
        raise CallError("no_gesture", "no lesion is named", "give --seed, --stroke or --clicks")
    return prompts


def _stroke(text: str) -> tuple[PointLps, PointLps]:
    from irplan.errors import CallError
    from irplan.geometry import parse_point

    numbers = text.split(",")
    if len(numbers) != 6:
        raise CallError(
            "not_a_stroke",
            f"--stroke: '{text}' is not x1,y1,z1,x2,y2,z2",
            "give two points in LPS mm",
        )
    start, end = ",".join(numbers[:3]), ",".join(numbers[3:])
    return parse_point(start, "--stroke"), parse_point(end, "--stroke")


def check_names(labels: Path | None, names: Path | None) -> None:
    """Refuse names of labels without the label map that they belong to.

    Raises:
        CallError: they stand alone.
    """
    from irplan.errors import CallError

    if names is not None and labels is None:
        raise CallError("names_alone", f"--names {names}: names no label map", "give --anatomy too")


def check_mask_name(out: Path) -> None:
    """Refuse a name whose ending no writer knows, before any work is done.

    Raises:
        CallError: the ending is not known.
    """
    from irplan.volume_io import check_volume_name

    if out.suffix.lower() != ".dcm":
        check_volume_name(out)


def write_mask(volume: CtVolume, lesions: tuple[Lesion, ...], out: Path) -> None:
    """Write the lesions as a label map or as a DICOM SEG; nothing where there is no lesion."""
    from irplan.export.dicom_seg import write_seg
    from irplan.lesions import label_map
    from irplan.volume_io import save_label_map

    if not lesions:
        return
    if out.suffix.lower() == ".dcm":
        write_seg(volume, lesions, out)
    else:
        save_label_map(label_map(lesions, volume.geometry), volume.geometry, out)


def _tell(lesions: tuple[Lesion, ...], findings: Iterable[Finding], json: bool) -> None:
    from irplan.documents import envelope
    from irplan.lesions.contact import contact_words

    documents = [lesion.document() for lesion in lesions]
    if json:
        emit(envelope("lesions", {"lesions": documents}, findings))
        return
    columns = (
        "lesion_id",
        "label",
        "kind",
        "volume_ml",
        "volume_low_ml",
        "volume_high_ml",
        "longest_diameter_mm",
        "short_axis_mm",
        "diameter_3d_mm",
        "depth_below_skin_mm",
        "mean_hu",
    )
    tell_table(columns, [[document[name] for name in columns] for document in documents])
    for lesion in lesions:
        say(f"{lesion.lesion_id}: {contact_words(lesion.contacts)}")
    tell_findings(findings)
    for lesion in lesions:
        tell_findings(lesion.findings)
