"""What an image is: a CT slice, or one of the things that lie beside slices in a study."""

from __future__ import annotations

from functools import lru_cache

from irplan.dicom.header import CONVERTED_CT, CT_IMAGE, ENHANCED_CT, SliceHeader
from irplan.dicom.sources import STAGE
from irplan.findings import FindingRule, Forbids, Severity, declare


def _stop(code: str, template: str) -> FindingRule:
    return declare(code, Severity.STOP, STAGE, template, forbids=Forbids.PLAN)


WRONG_MODALITY = _stop("wrong_modality", "modality is {modality}, not CT")
NOT_AN_IMAGE = _stop("not_an_image", "{what}: holds no CT image")
NO_PIXELS = _stop("no_pixels", "the files hold no pixels ({count} of {total})")
LOCALIZER = _stop("localizer", "a localizer (scout view), not a volume")
DOSE_REPORT = _stop("dose_report", "a dose report, not a volume")
SECONDARY_CAPTURE = _stop("secondary_capture", "a secondary capture (a picture), not a measured CT")
RENDERING = _stop("rendering", "a rendering or projection ({what}), not measured HU")
NOT_GREY = _stop("not_grey", "{samples} samples a pixel: a colour picture, not HU")
PARAMETER_MAP = _stop("parameter_map", "a parameter map ({what}), not HU")
REFORMATTED = declare(
    "reformatted",
    Severity.WARN,
    STAGE,
    "a reformat ({what}): voxels were interpolated from another series",
)
DERIVED = declare(
    "derived_image", Severity.WARN, STAGE, "derived images ({what}): not as the scanner made them"
)

_DOCUMENTS = {
    "1.2.840.10008.5.1.4.1.1.66": "raw data",
    "1.2.840.10008.5.1.4.1.1.66.1": "a spatial registration",
    "1.2.840.10008.5.1.4.1.1.66.2": "fiducials",
    "1.2.840.10008.5.1.4.1.1.66.3": "a deformable registration",
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.66.5": "a surface segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "a label map segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "a radiotherapy dose",
    "1.2.840.10008.5.1.4.1.1.481.3": "a radiotherapy structure set",
    "1.2.840.10008.5.1.4.1.1.481.5": "a radiotherapy plan",
    "1.2.840.10008.5.1.4.1.1.104.1": "an encapsulated PDF",
    "1.2.840.10008.1.3.10": "a DICOM directory",
}
_DOSE_REPORT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.67",
    "1.2.840.10008.5.1.4.1.1.88.74",
    "1.2.840.10008.5.1.4.1.1.88.76",
)
_STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.11."
_SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
_CT_CLASSES = (CT_IMAGE, ENHANCED_CT, CONVERTED_CT)

_LOCALIZER_WORDS = (
    *("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "REF_SURVIEW"),
    *("SCANOGRAM", "SCANOSCOPE", "TOPO"),
)
_DOSE_WORDS = ("DOSE", "DOSEINFO", "DOSE_INFO", "DOSE REPORT", "DOSE_REPORT")
_REFORMAT_WORDS = ("MPR", "REFORMATTED", "CSA MPR", "CSAMPR", "CPR", "OBLIQUE", "CURVED")
_RENDERING_WORDS = (
    *("3D", "VRT", "VOLUME_RENDER", "SSD", "MIP", "CSA MIP", "MINIP", "MAX_IP", "MIN_IP"),
    *("PROJECTION IMAGE", "VOLUME_RENDERED", "RADIAL", "FUSED", "SCREEN SAVE", "SCREENSHOT"),
    *("MAXIMUM", "MINIMUM", "TOMO", "RCBF", "RCBV", "MTT", "TTP", "PERFUSION", "SUBTRACTION"),
)
_PARAMETER_WORDS = (
    *("RCBF", "RCBV", "MTT", "TTP", "PERFUSION", "SUBTRACTION", "SUBTRACTED", "MATERIAL"),
    # Of multi-energy scans, by the standard's names (PS3.3 C.8.15.3.1) and by makers' own.
    *("MAT_SPECIFIC", "MAT_REMOVED", "MAT_FRACTIONAL", "MAT_MODIFIED", "MAT_VALUE_BASED"),
    *("EFF_ATOMIC_NUM", "ELECTRON_DENSITY", "IODINE", "IODINE_DENSITY", "IODINE_MAP", "WATER"),
    *("CALCIUM", "URIC_ACID", "ZEFF", "Z_EFF", "Z_EFFECTIVE", "EFFECTIVE_Z"),
)

#: What a kind is called, in the order in which a reason is given.
SLICE = "slice"


def kind_of(header: SliceHeader) -> str:
    """The kind of one image: 'slice' for what may be part of a CT volume."""
    uid = header.text("sop_class_uid")
    if uid in _DOSE_REPORT_CLASSES:
        return "dose_report"
    if uid in _DOCUMENTS or uid.startswith((_STRUCTURED_REPORTS, _PRESENTATION_STATES)):
        return "document"
    if header.text("modality") != "CT":
        return "other_modality"
    told = _told_by(header.image_type)
    if told in ("localizer", "dose_report"):
        return told
    if uid == _SECONDARY_CAPTURES or uid.startswith(_SECONDARY_CAPTURES + "."):
        return "secondary_capture"
    if uid and uid not in _CT_CLASSES:
        return "other_class"
    if header.samples > 1:
        return "colour"
    if told:
        return told
    if header.pixel_offset < 0 and not header.damage:
        return "no_pixels"
    return SLICE


@lru_cache(maxsize=1024)
def _told_by(words: tuple[str, ...]) -> str:
    """The kind that ImageType names, or '' where it names none of these."""
    if _named(words, _LOCALIZER_WORDS):
        return "localizer"
    if _named(words, _DOSE_WORDS):
        return "dose_report"
    if _named(words[2:], _PARAMETER_WORDS):
        return "parameter_map"
    if _named(words[2:], _RENDERING_WORDS):
        return "rendering"
    return ""


def _named(words: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return any(word in names for word in words)


def document_name(header: SliceHeader) -> str:
    """What a file that is no image is called."""
    uid = header.text("sop_class_uid")
    if uid.startswith(_STRUCTURED_REPORTS):
        return "a structured report"
    if uid.startswith(_PRESENTATION_STATES):
        return "a presentation state"
    return _DOCUMENTS.get(uid, f"SOP class {uid or 'absent'}")


def reformat_word(header: SliceHeader) -> str:
    """The word of ImageType that tells a reformat, or ''."""
    return next((word for word in header.image_type[2:] if word in _REFORMAT_WORDS), "")


def is_derived(header: SliceHeader) -> bool:
    """Whether ImageType says that the pixels were computed from other images."""
    return header.image_type[0] == "DERIVED"
