"""Each command's document: its schema, its keys, and the rules that tie its numbers together."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest


def test_scan(irplan, sample, conforms) -> None:
    run = irplan("scan", sample / "visit1", "--json")
    assert run.code == 0
    conforms(run.json, "scan")
    (series,) = run.json["series"]
    assert series["usable"] is True
    assert series["modality"] == "CT"
    assert series["patient_position"] == "HFS"
    assert series["instances"] == series["size"][2]


def test_convert_keeps_the_grid_that_another_library_reads(
    irplan, sample, conforms, tmp_path
) -> None:
    import SimpleITK as sitk  # noqa: N813

    run = irplan("convert", sample / "visit1", "--out", tmp_path / "v.nii.gz", "--json")
    assert run.code == 0
    conforms(run.json, "convert")
    image = sitk.ReadImage(str(tmp_path / "v.nii.gz"))
    grid = run.json["geometry"]
    assert list(image.GetSize()) == grid["size"]
    for ours, theirs in zip(grid["origin_lps_mm"], image.GetOrigin(), strict=True):
        assert abs(float(ours) - theirs) < 1e-3


def test_segment_then_measure_gives_the_same_numbers(irplan, sample, conforms, tmp_path) -> None:
    mask = tmp_path / "mask.nii.gz"
    clicks = sample / "clicks1.csv"
    drawn = irplan("segment", sample / "visit1", "--clicks", clicks, "--out", mask, "--json")
    assert drawn.code == 0, drawn.err
    conforms(drawn.json, "lesions")
    measured = irplan("measure", sample / "visit1", "--mask", mask, "--json")
    assert measured.code == 0, measured.err
    conforms(measured.json, "lesions")
    same = ("longest_diameter_mm", "short_axis_mm", "centroid_lps_mm", "mean_hu")
    for one, other in zip(drawn.json["lesions"], measured.json["lesions"], strict=True):
        assert one["source"] == "segmented"
        assert other["source"] == "imported"
        assert {name: one[name] for name in same} == {name: other[name] for name in same}
        assert one["volume_low_ml"] <= one["volume_ml"] <= one["volume_high_ml"]
    assert [one["lesion_id"] for one in measured.json["lesions"]] == [
        f"L{number}" for number in range(1, len(measured.json["lesions"]) + 1)
    ]


def test_ids_name_imported_lesions(irplan, sample, tmp_path) -> None:
    mask = tmp_path / "mask.nrrd"
    irplan("segment", sample / "visit1", "--clicks", sample / "clicks1.csv", "--out", mask)
    (tmp_path / "ids.csv").write_text("source_label,lesion_id\n1,T01\n2,T02\n")
    run = irplan(
        "measure", sample / "visit1", "--mask", mask, "--ids", tmp_path / "ids.csv", "--json"
    )
    assert run.code == 0, run.err
    assert [one["lesion_id"] for one in run.json["lesions"]][:2] == ["T01", "T02"]


def test_protocols(irplan, conforms) -> None:
    run = irplan("protocols", "--json")
    assert run.code == 0
    conforms(run.json, "protocols")
    assert {"nivipit", "nct07230613", "tvec-table"} <= {
        one["name"] for one in run.json["protocols"]
    }
    one = irplan("protocols", "nivipit", "--json")
    conforms(one.json, "protocol")


def allocate(irplan, tmp_path: Path, rows: str, *options: object):
    table = tmp_path / "lesions.csv"
    table.write_text(rows)
    return irplan("allocate", table, *options, "--json")


def test_allocate(irplan, conforms, tmp_path) -> None:
    rows = "lesion_id,volume_ml\nA,3.000\nB,1.000\n"
    run = allocate(irplan, tmp_path, rows, "--weight-kg", "70")
    assert run.code == 0, run.err
    conforms(run.json, "allocation")
    (drug,) = run.json["drugs"]
    # 70 kg × 0.3 mg/kg = 21 mg; 21 / 5 = 4.2 mL; three quarters are 3.15 mL, a quarter 1.05 mL.
    assert (drug["ordered_mg"], drug["prescribed_mg"], drug["prescribed_ml"]) == (
        21,
        21,
        Decimal("4.2"),
    )
    assert {d["lesion_id"]: d["ml"] for d in drug["lesions"]} == {
        "A": Decimal("3.15"),
        "B": Decimal("1.05"),
    }
    assert drug["residual_ml"] == 0


def test_what_if(irplan, conforms, tmp_path) -> None:
    rows = "lesion_id,volume_ml\nA,3.000\nB,1.000\n"
    run = allocate(
        irplan, tmp_path, rows, "--weight-kg", "70", "--leave-out", "B", "--fix", "A=1.2",
        "--compare-splits",
    )  # fmt: skip
    assert run.code == 0, run.err
    conforms(run.json, "allocation")
    found = {
        one["scenario"]: {
            dose["lesion_id"]: dose["ml"] for drug in one["drugs"] for dose in drug["lesions"]
        }
        for one in run.json["what_if"]
    }
    # 4.20 mL in all: to one lesion; 1.20 + 3.00; two equal halves.
    assert found["without B"] == {"A": Decimal("4.2")}
    assert found["A fixed at 1.2 mL"] == {"A": Decimal("1.2"), "B": 3}
    assert found["split by equal"] == {"A": Decimal("2.1"), "B": Decimal("2.1")}
    # What was asked for stays what is ordered.
    assert [dose["ml"] for dose in run.json["drugs"][0]["lesions"]] == [
        Decimal("3.15"),
        Decimal("1.05"),
    ]
    assert allocate(irplan, tmp_path, rows, "--weight-kg", "70", "--leave-out", "X").code == 2


def test_the_order_of_rows_changes_nothing(irplan, tmp_path) -> None:
    rows = ["A,3.001", "B,1.7", "C,0.333", "D,1.7"]
    head = "lesion_id,volume_ml\n"
    one = allocate(irplan, tmp_path, head + "\n".join(rows) + "\n", "--weight-kg", "61.3")
    other = allocate(irplan, tmp_path, head + "\n".join(rows[::-1]) + "\n", "--weight-kg", "61.3")

    def by_lesion(document):
        return sorted(document["drugs"][0]["lesions"], key=lambda dose: dose["lesion_id"])

    assert by_lesion(one.json) == by_lesion(other.json)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("lesion_id,volume_ml\nA,1\nA,2\n", "A"),
        ("lesion_id,volume_ml\nA,0\n", "A"),
        ("lesion_id,volume_ml\nA,NaN\n", "A"),
        ('lesion_id,volume_ml\nA,"1,5"\n', "comma"),
        ("lesion_id,volume_ml\nA,-1\n", "A"),
        ("lesion_id\nA\n", "volume_ml"),
        ("lesion_id,volume_ml,injectable\nA,1,no\n", "reason"),
        ("", "lesion"),
    ],
)
def test_a_table_that_cannot_be_dosed_is_refused(irplan, tmp_path, rows, said) -> None:
    run = allocate(irplan, tmp_path, rows, "--weight-kg", "70")
    assert run.code == 3, run.err
    assert said in run.err


@pytest.mark.parametrize(("weight", "code"), [("19.9", 3), ("300.1", 3), ("20", 0), ("300", 0)])
def test_the_weight_has_bounds(irplan, tmp_path, weight, code) -> None:
    run = allocate(irplan, tmp_path, "lesion_id,volume_ml\nA,90\n", "--weight-kg", weight)
    assert run.code == code, run.err


def test_the_weight_is_needed_where_the_rule_uses_it(irplan, tmp_path) -> None:
    run = allocate(irplan, tmp_path, "lesion_id,volume_ml\nA,9\n")
    assert run.code in (2, 3)
    assert "weight" in run.err
    run = allocate(irplan, tmp_path, "lesion_id,volume_ml\nA,90\n", "--protocol", "nct07230613")
    assert run.code == 0, run.err


def test_plan(plan_folder, conforms) -> None:
    document = json.loads((plan_folder / "plan.json").read_text(), parse_float=Decimal)
    conforms(document, "plan")
    printed = json.loads((plan_folder.parent / "stdout.json").read_text(), parse_float=Decimal)
    assert {**printed, "run": {}} == {**document, "run": {}}
    names = {path.name for path in plan_folder.iterdir()}
    expected = {"plan.json", "report.pdf", "lesions.dcm", "measurements.dcm", "allocation.csv"}
    assert names >= expected | {"syringes.csv", "inputs"}
    for item in document["inputs"]:
        assert item["name"] == "ct" or (plan_folder / "inputs" / item["name"]).is_file()


@pytest.mark.long
def test_the_same_call_gives_the_same_bytes(irplan, sample, plan_folder, tmp_path) -> None:
    run = irplan(
        "plan", sample / "visit1", "--clicks", sample / "clicks1.csv", "--weight-kg", "70",
        "--out", tmp_path / "again", "--json",
    )  # fmt: skip
    assert run.code in (0, 4), run.err
    one = json.loads((plan_folder / "plan.json").read_text(), parse_float=Decimal)
    other = json.loads((tmp_path / "again" / "plan.json").read_text(), parse_float=Decimal)
    assert one.pop("run") is not None
    assert other.pop("run") is not None
    assert json.dumps(one, default=str) == json.dumps(other, default=str)


def test_verify(irplan, sample, plan_folder, conforms) -> None:
    run = irplan("verify", plan_folder, sample / "visit1", "--json")
    assert run.code == 0, run.out
    assert run.json["same"] is True
    conforms(run.json, "verify")


def test_record(irplan, plan_folder, conforms, tmp_path) -> None:
    store = tmp_path / "record.sqlite"
    made = irplan("record", "init", "--store", store, "--json")
    conforms(made.json, "record_init")
    added = irplan(
        "record", "add", plan_folder / "plan.json", "--subject", "NIV-001", "--visit", 1,
        "--store", store, "--json",
    )  # fmt: skip
    assert added.code == 0, added.err
    conforms(added.json, "record_add")
    listed = irplan("record", "list", "--store", store, "--json")
    conforms(listed.json, "record_list")
    plan = json.loads((plan_folder / "plan.json").read_text())
    assert [one["plan_id"] for one in listed.json["plans"]] == [plan["plan_id"]]
    shown = irplan("record", "show", plan["plan_id"], "--store", store, "--json")
    conforms(shown.json, "record_show")
    assert plan["case"]["patient_id"] != ""
    assert plan["case"]["patient_id"] not in shown.out
    whole = irplan("record", "verify", "--store", store, "--json")
    assert whole.code == 0
    conforms(whole.json, "record_verify")
    wrong = irplan("record", "verify", "--store", store, "--head", "0" * 64, "--json")
    assert wrong.code == 6


def test_a_changed_plan_is_not_recorded(irplan, plan_folder, tmp_path) -> None:
    store = tmp_path / "record.sqlite"
    irplan("record", "init", "--store", store)
    text = (
        (plan_folder / "plan.json")
        .read_text()
        .replace('"prescribed_mg": 21', '"prescribed_mg": 22')
    )
    (tmp_path / "plan.json").write_text(text)
    run = irplan(
        "record", "add", tmp_path / "plan.json", "--subject", "S", "--visit", 1, "--store", store
    )
    assert run.code == 3
    assert irplan("record", "list", "--store", store, "--json").json["plans"] == []
