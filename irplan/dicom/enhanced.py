"""Enhanced (multiframe) CT: one file whose frames each carry their own geometry and rescaling."""

from __future__ import annotations

import io
import warnings
from typing import Any

from irplan.dicom.elements import DEFLATED_LE, Damaged, inflated
from irplan.dicom.header import SliceHeader
from irplan.dicom.sources import Source

#: A file that names more frames than this is not a CT.
MOST_FRAMES = 20_000


def frames_of(header: SliceHeader) -> list[SliceHeader]:
    """One header a frame, in the file's order; the file's own header, damaged, where that fails."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(_opened(header), stop_before_pixels=True, force=True)
            per_frame: Any = dataset.get("PerFrameFunctionalGroupsSequence") or ()
            shared: Any = dataset.get("SharedFunctionalGroupsSequence") or ()
            count = int(header.frames or 0)
            if not 1 <= count <= MOST_FRAMES or len(per_frame) != count:
                raise Damaged(f"{count} frames and {len(per_frame)} descriptions of frames")
            common = shared[0] if len(shared) else None
            return [
                _frame(header, dataset, common, groups, index)
                for index, groups in enumerate(per_frame)
            ]
    except Exception as error:  # noqa: BLE001 - pydicom raises many kinds on damaged bytes
        return [header._replace(damage=f"functional groups: {error}")]


def _opened(header: SliceHeader) -> Any:
    if header.transfer_syntax_uid == DEFLATED_LE:
        # Inflated here, with a limit, so that a few kilobytes cannot unfold into gigabytes.
        with open(header.path, "rb") as file:
            inflated(file.read())
    if header.member:
        from irplan.dicom.archives import read_member

        return io.BytesIO(read_member(Source(header.path, header.member)))
    return header.path


def _group(common: Any, groups: Any, sequence: str) -> Any:
    """The item of a functional group: the frame's own, else the shared one, else nothing."""
    for holder in (groups, common):
        items = holder.get(sequence) if holder is not None else None
        if items:
            return items[0]
    return None


def _frame(header: SliceHeader, dataset: Any, common: Any, groups: Any, index: int) -> SliceHeader:
    def value(sequence: str, name: str) -> Any:
        item = _group(common, groups, sequence)
        return None if item is None else item.get(name)

    def floats(sequence: str, name: str) -> tuple[float, ...]:
        found = value(sequence, name)
        if found is None:
            return ()
        return (
            tuple(float(part) for part in found) if hasattr(found, "__iter__") else (float(found),)
        )

    def one(sequence: str, name: str) -> float | None:
        found = floats(sequence, name)
        return found[0] if found else None

    texts = dict(header.values)
    frame_type = value("CTImageFrameTypeSequence", "FrameType")
    if frame_type:
        texts["image_type"] = "\\".join(map(str, frame_type))
    texts["rescale_type"] = str(value("PixelValueTransformationSequence", "RescaleType") or "")
    kernel = value("CTReconstructionSequence", "ConvolutionKernel")
    if kernel:
        texts["kernel"] = str(kernel)
    for name, sequence, keyword in (
        ("temporal_position", "FrameContentSequence", "TemporalPositionIndex"),
        ("acquisition_number", "FrameContentSequence", "FrameAcquisitionNumber"),
        ("cardiac_phase", "CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
        ("contrast_phase", "ContrastBolusUsageSequence", "ContrastBolusAgentPhase"),
    ):
        found = value(sequence, keyword)
        if found is not None:
            texts[name] = str(found)
    agent = dataset.get("ContrastBolusAgentSequence")
    if agent and not texts.get("contrast_agent"):
        texts["contrast_agent"] = str(agent[0].get("CodeMeaning") or "")
    if not texts.get("acquisition_date"):
        texts["acquisition_date"] = str(dataset.get("AcquisitionDateTime") or "")[:8]
    if not texts.get("patient_position"):
        texts["patient_position"] = str(dataset.get("PatientPosition") or "")
    return header._replace(
        frame=index,
        values=texts,
        position=floats("PlanePositionSequence", "ImagePositionPatient"),
        orientation=floats("PlaneOrientationSequence", "ImageOrientationPatient"),
        pixel_spacing=floats("PixelMeasuresSequence", "PixelSpacing"),
        slice_thickness=one("PixelMeasuresSequence", "SliceThickness"),
        slope=one("PixelValueTransformationSequence", "RescaleSlope"),
        intercept=one("PixelValueTransformationSequence", "RescaleIntercept"),
        tilt_tag=None,
    )
