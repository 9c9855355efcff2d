"""DICOM UIDs that follow from content: the same inputs give the same UIDs on every run.

The form is ``2.25.`` and a 128-bit number (DICOM PS3.5 B.2), taken from a SHA-256.
"""

from __future__ import annotations

import hashlib

from irplan.volume import CtVolume


def uid_from(*parts: str) -> str:
    """A UID derived from the texts ``parts``, in their order."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    # The version and variant bits of a name-based UUID, so that readers that check them pass it.
    number = (number & ~(0xF << 76)) | (0x5 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    return f"2.25.{number}"


def frame_of_reference_uid(volume: CtVolume) -> str:
    """The scan's frame of reference, or one derived from its content where the file has none."""
    return volume.identity.frame_of_reference_uid or uid_from("frame", volume.sha256)


def study_uid(volume: CtVolume) -> str:
    """The scan's study, or one derived from its content."""
    return volume.identity.study_instance_uid or uid_from("study", volume.sha256)


def series_uid(volume: CtVolume) -> str:
    """The scan's series, or one derived from its content."""
    return volume.identity.series_instance_uid or uid_from("series", volume.sha256)


def sop_instance_uids(volume: CtVolume) -> tuple[str, ...]:
    """One UID per slice, rising along the slice normal: the scan's own, or derived."""
    own = volume.identity.sop_instance_uids
    count = volume.geometry.size[2]
    if len(own) == count and all(own) and len(set(own)) == count:
        return own
    return tuple(uid_from("slice", volume.sha256, str(number)) for number in range(count))
