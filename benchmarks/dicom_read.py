"""How long a CT series takes to read into HU, geometry checks included, beside other readers.

A made-up series (a body with an inserted sphere, quantum noise) is written uncompressed, as
JPEG 2000 lossless and as JPEG-LS, then read warm (files in memory) and cold (dropped from it) by

* irplan: scan of the folder, geometry gate, HU;
* SimpleITK's series reader with GDCM's own ordering (GetGDCMSeriesFileNames);
* pydicom, slices sorted by position, pixel_array;
* dicomsdl, slices sorted by position (where installed);
* the bytes alone, which nothing can beat.

Each reader works in a process of its own; seconds are the median of its runs after one to warm up,
memory its highest resident size (that of irplan's decoding processes in brackets). Then: finding
the series among 10,000 files, a second scan of them, and the first slice of a long series.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 512
SYNTAXES = {
    "uncompressed": "",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
    "jpegls": "1.2.840.10008.1.2.4.80",
}
PARTS = ("reading", "search", "first")
READERS = ("irplan", "simpleitk", "pydicom", "dicomsdl", "bytes")
FILES_TO_SEARCH = 10_000
#: Compressed slices are made once and repeated: the encoder is not what is measured.
DISTINCT_SLICES = 24


def header(index: int, uid: str) -> Any:
    """One image as a scanner writes it: about a hundred elements, private ones and sequences."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{uid}.{index + 1}"
    ds.ImageType, ds.Modality = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"], "CT"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240229"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101530.250000"
    ds.Manufacturer, ds.InstitutionName, ds.StationName = "Made up", "None", "CT01"
    ds.StudyDescription, ds.SeriesDescription = "Abdomen", "Abdomen 1.0 portal venous"
    ds.PatientName, ds.PatientID, ds.PatientSex = "Phantom^Series", "P-1", "O"
    ds.KVP, ds.SliceThickness, ds.DataCollectionDiameter = 120, 1.0, 500
    ds.ReconstructionDiameter, ds.ExposureTime, ds.XRayTubeCurrent = 400, 500, 220
    ds.FilterType, ds.ConvolutionKernel, ds.PatientPosition = "0", "B30f", "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.77", uid
    ds.FrameOfReferenceUID, ds.StudyID, ds.SeriesNumber = "1.2.826.0.1.78", "1", 2
    ds.InstanceNumber, ds.AcquisitionNumber = index + 1, 1
    ds.ImagePositionPatient = [-200.0, -200.0, float(index)]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.PixelSpacing, ds.RescaleSlope, ds.RescaleIntercept = [0.78125, 0.78125], 1, -1024
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth, ds.RescaleType = 50, 350, "HU"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
    ds.ReferencedImageSequence = Sequence([item, Dataset(item)])
    ds.SourceImageSequence = Sequence([Dataset(item)])
    block = ds.private_block(0x0019, "MADE UP CT", create=True)
    for element in range(48):
        block.add_new(element, "LO", f"private value {element}")
    return ds


def stored(index: int, size: int) -> np.ndarray:
    """Stored values of one slice: air, a body of soft tissue, a brighter sphere, noise."""
    y, x = np.mgrid[:size, :size] - size / 2
    body = (x / 0.42) ** 2 + (y / 0.33) ** 2 < size**2
    sphere = (x - size / 8) ** 2 + y**2 + (index % DISTINCT_SLICES - 12) ** 2 < (size / 12) ** 2
    noise = np.random.default_rng(index).normal(0, 12, (size, size))
    return np.clip(30 + 1034 * body + 60 * sphere + noise, 0, 4095).astype("<u2")


def write_series(folder: Path, slices: int, syntax: str) -> None:
    """A series of ``slices`` images of 512 × 512."""
    folder.mkdir(parents=True)
    coded: dict[int, bytes] = {}
    for index in range(slices):
        ds = header(index, "1.2.826.0.1.79")
        ds.Rows = ds.Columns = SIZE
        kind = index % DISTINCT_SLICES
        if kind not in coded:
            ds.PixelData = stored(kind, SIZE).tobytes()
            if syntax:
                ds.compress(syntax, generate_instance_uid=False)
            coded[kind] = ds.PixelData
        ds.PixelData = coded[kind]
        if syntax:
            ds.file_meta.TransferSyntaxUID = syntax
            ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.save_as(folder / f"IM{index:05d}", enforce_file_format=True)


def write_haystack(folder: Path, files: int) -> None:
    """Many small images of forty series."""
    for index in range(files):
        ds = header(index // 40, f"1.2.826.0.1.80.{index % 40 + 1}")
        ds.Rows = ds.Columns = 16
        ds.PixelData = bytes(512)
        target = folder / f"D{index % 7}" / f"IM{index:06d}"
        target.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(target, enforce_file_format=True)


def drop_from_memory(folder: Path) -> None:
    """Ask the system to forget the files' pages, so that the next read comes from the disk."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def by_irplan(folder: Path) -> np.ndarray:
    from irplan.volume_io import load_volume

    return load_volume(folder).hu


def by_simpleitk(folder: Path) -> Any:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def by_pydicom(folder: Path) -> np.ndarray:
    import pydicom

    images = [pydicom.dcmread(path) for path in folder.iterdir()]
    images.sort(key=lambda ds: ds.ImagePositionPatient[2])
    volume = np.empty((len(images), SIZE, SIZE), np.int16)
    for index, ds in enumerate(images):
        volume[index] = ds.pixel_array + np.int16(ds.RescaleIntercept)
    return volume


def by_dicomsdl(folder: Path) -> np.ndarray:
    import dicomsdl

    images = [dicomsdl.open(str(path)) for path in folder.iterdir()]
    images.sort(key=lambda image: image.ImagePositionPatient[2])
    volume = np.empty((len(images), SIZE, SIZE), np.int16)
    for index, image in enumerate(images):
        image.copyFrameData(0, volume[index])
        volume[index] += np.int16(-1024)
    return volume


def by_bytes(folder: Path) -> bytearray:
    paths = list(folder.iterdir())
    buffer = bytearray(sum(path.stat().st_size for path in paths))
    view, start = memoryview(buffer), 0
    for path in paths:
        with path.open("rb", buffering=0) as file:
            start += file.readinto(view[start:])
    return buffer


def read_here(reader: str, folder: Path, runs: int) -> dict[str, float]:
    """In a process of its own: median seconds of ``runs`` after one to warm up, peak memory."""
    read: Callable[[Path], Any] = globals()[f"by_{reader}"]
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        volume = read(folder)
        seconds.append(time.perf_counter() - start)
        del volume
    return {
        "seconds": statistics.median(seconds[1:]),
        "first_seconds": seconds[0],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "decoder_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def cold_here(reader: str, folder: Path) -> dict[str, float]:
    """As :func:`read_here`, once, from the disk; libraries are loaded before the clock starts."""
    read: Callable[[Path], Any] = globals()[f"by_{reader}"]
    with tempfile.TemporaryDirectory() as small:
        write_series(Path(small) / "s", 2, "")
        read(Path(small) / "s")
    drop_from_memory(folder)
    start = time.perf_counter()
    read(folder)
    return {"seconds": time.perf_counter() - start}


def elsewhere(*arguments: str) -> dict[str, float] | None:
    """Run a part of this benchmark in a fresh process; None where it fails (named on stderr)."""
    environment = {**os.environ, "IRPLAN_NO_CACHE": "1"}
    command = [sys.executable, "-W", "ignore", __file__, "--here", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        print(f"  {arguments}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    result: dict[str, float] = json.loads(done.stdout)
    return result


def compare_readers(
    root: Path, slices: int, form: str, runs: int, readers: Sequence[str]
) -> dict[str, Any]:
    """Several readers on one series, warm and cold."""
    folder = root / f"{form}{slices}"
    write_series(folder, slices, SYNTAXES[form])
    volume_mb = slices * SIZE * SIZE * 2 / 1e6
    print(f"\n{slices} slices, {form} (volume {volume_mb:.0f} MB)")
    found: dict[str, Any] = {"slices": slices, "form": form, "volume_mb": volume_mb}
    for reader in readers:
        warm = elsewhere("warm", reader, str(folder), str(runs))
        if warm is None:
            continue
        cold = elsewhere("cold", reader, str(folder))
        found[reader] = {**warm, "cold_seconds": cold["seconds"] if cold else None}
        cold_text = f"{cold['seconds']:8.3f}" if cold else "       -"
        print(
            f"  {reader:10} warm {warm['seconds']:8.3f} s   cold {cold_text} s"
            f"   peak {warm['peak_mb']:6.0f} MB ({warm['decoder_peak_mb']:.0f})"
        )
    if "irplan" in found and "simpleitk" in found:
        ratio = found["simpleitk"]["seconds"] / found["irplan"]["seconds"]
        found["times_as_fast_as_simpleitk"] = ratio
        print(f"  irplan is {ratio:.2f} times as fast as SimpleITK, warm")
    for path in folder.iterdir():
        path.unlink()
    return found


def search_here(folder: Path) -> dict[str, float]:
    """Finding the series among many files: SimpleITK, irplan, irplan again."""
    import SimpleITK

    from irplan.dicom import scan

    SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / "D0"))
    start = time.perf_counter()
    for part in sorted(folder.iterdir()):
        SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(part))
    simpleitk = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as cache:
        os.environ.pop("IRPLAN_NO_CACHE", None)
        os.environ["XDG_CACHE_HOME"] = cache
        start = time.perf_counter()
        first = scan(folder)
        once = time.perf_counter() - start
        start = time.perf_counter()
        second = scan(folder)
        twice = time.perf_counter() - start
    if [one.document() for one in first.series] != [one.document() for one in second.series]:
        raise SystemExit("the second scan says something else")
    return {"simpleitk": simpleitk, "irplan": once, "again": twice, "series": len(first.series)}


def first_slice_here(folder: Path) -> dict[str, float]:
    """From the path to the first slice of a series, and to all of it."""
    from irplan.dicom import read_entry, scan

    arrived: list[float] = []
    start = time.perf_counter()
    result = scan(folder)

    def landed(index: int, hu: np.ndarray) -> None:
        arrived.append(time.perf_counter() - start)

    read_entry(result.usable[0], folder, on_slice=landed)
    return {"first_seconds": arrived[0], "all_seconds": time.perf_counter() - start}


def compare_searches(root: Path, files: int) -> dict[str, float] | None:
    """Finding the series among many files, in a fresh process."""
    write_haystack(root / "haystack", files)
    found = elsewhere("search", str(root / "haystack"))
    if found:
        times, again = found["simpleitk"] / found["irplan"], found["irplan"] / found["again"]
        print(f"\n{files} files, the series found: SimpleITK {found['simpleitk']:.2f} s")
        print(f"  irplan {found['irplan']:.2f} s, {times:.1f} times as fast")
        print(f"  irplan once more {found['again']:.3f} s, {again:.1f} times as fast as that")
    return found


def first_slice(root: Path, slices: int, form: str) -> dict[str, float] | None:
    """How long the first slice of a long series takes, in a fresh process."""
    write_series(root / f"long-{form}", slices, SYNTAXES[form])
    first = elsewhere("first", str(root / f"long-{form}"))
    if first:
        print(
            f"first of {slices} slices, {form}: {first['first_seconds']:.2f} s,"
            f" all: {first['all_seconds']:.2f} s"
        )
    return first


def run_here(part: str, *arguments: str) -> None:
    """What a fresh process was started for."""
    warnings.simplefilter("ignore")
    if part == "warm":
        result = read_here(arguments[0], Path(arguments[1]), int(arguments[2]))
    elif part == "cold":
        result = cold_here(arguments[0], Path(arguments[1]))
    elif part == "search":
        result = search_here(Path(arguments[0]))
    else:
        result = first_slice_here(Path(arguments[0]))
    print(json.dumps(result))


def main() -> None:
    """Run all of it, print the ratios, write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 slices, 2,000 files")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", type=Path, help="where the series are written for a while")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="instead of all")
    parser.add_argument("--slices", nargs="+", type=int, help="lengths of the series")
    parser.add_argument("--forms", nargs="+", choices=SYNTAXES, default=list(SYNTAXES))
    parser.add_argument("--readers", nargs="+", choices=READERS, default=READERS)
    parser.add_argument("--here", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        run_here(*options.here)
        return
    lengths = options.slices or ((100,) if options.quick else (400, 1500))
    files = 2_000 if options.quick else FILES_TO_SEARCH
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} processors"
    print(f"{machine}, Python {platform.python_version()}")
    report: dict[str, Any] = {"machine": machine, "reading": []}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        if "reading" in options.parts:
            for slices in lengths:
                for form in options.forms:
                    runs = 3 if form == "uncompressed" or slices <= 400 else 1
                    found = compare_readers(root, slices, form, runs, options.readers)
                    report["reading"].append(found)
        if "search" in options.parts:
            report["search"] = compare_searches(root, files)
        if "first" in options.parts:
            for form in options.forms:
                report[f"first_slice_{form}"] = first_slice(root, lengths[-1], form)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
