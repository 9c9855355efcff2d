"""Tables of lesions, history and given doses: what is read, and what is refused and how."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pytest

from irplan.documents import envelope
from irplan.dose import (
    DoseOrder,
    allocate,
    load_protocol,
    read_given,
    read_history,
    read_lesion_table,
)
from irplan.errors import InputRefused
from irplan.jsonio import dumps
from irplan.lesions.lesion import Lesion, LesionSource

HEAD = "lesion_id,volume_ml"


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_column_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "lesions.csv",
        "lesion_id,volume_ml,volume_low_ml,volume_high_ml,longest_diameter_mm,short_axis_mm,site,"
        "side,guidance,injectable,previously_injected,min_ml,max_ml,fixed_ml,reason,priority\n"
        "N1,12.3456,10,15.5,31.2,20,neck,left,Ultrasound,yes,no,0.1,2,,,2\n"
        'S2,3.0005,,,,,"arm, upper",right,,,,,,0.5,by hand,\n'
        "V3,5,,,,,,,,no,,,,,carotid,\n",
    )
    first, second, third = read_lesion_table(path)
    assert first.volume_ml == Decimal("12.346")
    assert (first.volume_low_ml, first.volume_high_ml) == (Decimal(10), Decimal("15.5"))
    assert (first.longest_diameter_mm, first.short_axis_mm) == (Decimal("31.2"), Decimal(20))
    assert (first.site, first.side, first.guidance) == ("neck", "left", "ultrasound")
    assert (first.injectable, first.previously_injected) == (True, False)
    assert (first.min_ml, first.max_ml, first.priority) == (Decimal("0.1"), Decimal(2), 2)
    assert second.volume_ml == Decimal("3.000")  # half to even
    assert second.fixed_ml == (("", Decimal("0.5")),)
    assert second.site == "arm, upper"
    assert second.previously_injected is None
    assert (third.injectable, third.reason) == (False, "carotid")


def test_three_diameters_are_an_ellipsoid(tmp_path: Path) -> None:
    path = write(tmp_path, "lesions.csv", "lesion_id,d1_mm,d2_mm,d3_mm\nL1,20,30.5,12\n")
    (lesion,) = read_lesion_table(path)
    assert lesion.volume_ml == Decimal(str(round(math.pi / 6 * 20 * 30.5 * 12 / 1000, 3)))
    assert lesion.longest_diameter_mm == Decimal("30.5")
    assert lesion.from_diameters


@pytest.mark.parametrize(
    ("volume", "found"),
    [
        ("", "volume_from_diameters"),
        ("3.833", None),
        ("7.66", None),
        ("7.67", "volume_off_ellipsoid"),
        ("1.917", None),
        ("1.916", "volume_off_ellipsoid"),
    ],
)
def test_a_volume_is_held_against_its_ellipsoid(
    tmp_path: Path, volume: str, found: str | None
) -> None:
    # π/6 · 20 · 30.5 · 12 / 1000 = 3.833 mL; half of it is 1.9165, twice 7.666.
    text = f"lesion_id,volume_ml,d1_mm,d2_mm,d3_mm\nL1,{volume},20,30.5,12\n"
    lesions = read_lesion_table(write(tmp_path, "lesions.csv", text))
    findings = allocate(lesions, load_protocol("nivipit"), DoseOrder(Decimal(70))).findings
    about_volume = [
        one.code
        for one in findings
        if one.code in ("volume_from_diameters", "volume_off_ellipsoid")
    ]
    assert about_volume == ([found] if found else [])


def test_what_the_dose_refuses_names_the_file_too(tmp_path: Path) -> None:
    lesions = read_lesion_table(write(tmp_path, "l.csv", HEAD + "\nL1,3\nL2,\n"))
    with pytest.raises(InputRefused, match=r"l\.csv, line 3 \(L2\): its volume is not known"):
        allocate(lesions, load_protocol("nivipit"), DoseOrder(Decimal(70)))
    given = read_given(write(tmp_path, "g.csv", "drug,lesion_id,ml\nipilimumab,L9,0.1\n"))
    with pytest.raises(InputRefused, match=r"g\.csv, line 2: 0\.1 mL went to 'L9'"):
        allocate(lesions[:1], load_protocol("nivipit"), DoseOrder(Decimal(70), given=given))


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    csv = write(
        tmp_path,
        "a.csv",
        "\ufefflesion_id,volume_ml,injectable,reason,fixed_ml:ipilimumab,priority\n"
        "L1,2.50,,by hand,0.4,1\nL2,3,no,vessel,,\n",
    )
    json = write(
        tmp_path,
        "a.json",
        '{"schema": "irplan.lesions/1", "findings": [], "lesions": ['
        '{"lesion_id": "L1", "volume_ml": 2.50, "reason": "by hand", "fixed_ml:ipilimumab": 0.4, '
        '"priority": 1, "mean_hu": 40.1, "centroid_lps_mm": [1, 2, 3], "findings": []},'
        '{"lesion_id": "L2", "volume_ml": 3, "injectable": false, "reason": "vessel"}]}',
    )
    assert read_lesion_table(csv) == read_lesion_table(json)


def test_every_list_of_lesions_that_irplan_writes_is_one_it_allocates_from(tmp_path: Path) -> None:
    lesion = Lesion("L1", 1, LesionSource.SEGMENTED, volume_ml=Decimal("2.512"), site="groin")
    document = envelope("lesions", {"lesions": [lesion.document()]})
    (read,) = read_lesion_table(write(tmp_path, "a.json", dumps(document)))
    assert (read.lesion_id, read.volume_ml, read.site) == ("L1", Decimal("2.512"), "groin")
    for name in ("lesions", "measured", "plan", "follow"):
        example = Path(__file__).parents[2] / "docs" / "examples" / f"{name}.json"
        assert read_lesion_table(example)


REFUSED = {
    "comma in quotes": (HEAD + '\nL1,"4,2"\n', "decimal_comma", "line 2"),
    "bare comma": (HEAD + "\nL1,4,2\n", "row_length", "decimal comma"),
    "semicolons": ("lesion_id;volume_ml\nL1;4,2\n", "semicolons", "commas"),
    "nan": (HEAD + "\nL1,NaN\n", "not_a_number", "volume_ml"),
    "inf": (HEAD + "\nL1,inf\n", "not_a_number", "volume_ml"),
    "exponent": (HEAD + "\nL1,1e3\n", "not_a_number", "volume_ml"),
    "negative": (HEAD + "\nL1,-1\n", "negative", "volume_ml"),
    "zero": (HEAD + "\nL1,0\n", "zero", "volume_ml"),
    "zero when rounded": (HEAD + "\nL1,0.0004\n", "zero", "volume_ml"),
    "twice": (HEAD + "\nL1,1\nL2,2\nL1,3\n", "duplicate_lesion_id", "L1"),
    "no id": (HEAD + "\n,1\n", "no_lesion_id", "line 2"),
    "no id column": ("id,volume_ml\nL1,1\n", "unknown_column", "'id'"),
    "only volumes": ("volume_ml\n1\n", "no_lesion_id", "lesion_id"),
    "misspelt limit": (HEAD + ",maxml\nL1,1,2\n", "unknown_column", "maxml"),
    "column twice": (HEAD + ",volume_ml\nL1,1,2\n", "column_twice", "volume_ml"),
    "two diameters": ("lesion_id,d1_mm,d2_mm,d3_mm\nL1,1,2,\n", "diameter_missing", "2 of three"),
    "zero diameter": ("lesion_id,d1_mm,d2_mm,d3_mm\nL1,1,2,0\n", "zero", "d3_mm"),
    "no reason": (HEAD + ",injectable\nL1,1,no\n", "reason_missing", "L1"),
    "fixed without reason": (HEAD + ",fixed_ml\nL1,1,0.2\n", "reason_missing", "fixed_ml"),
    "fixed but not injectable": (
        HEAD + ",fixed_ml,injectable,reason\nL1,1,0.2,no,x\n",
        "fixed_not_injectable",
        "0.2",
    ),
    "min above max": (HEAD + ",min_ml,max_ml\nL1,1,2,1\n", "min_above_max", "minimum"),
    "band upside down": (HEAD + ",volume_low_ml,volume_high_ml\nL1,2,3,1\n", "wrong_value", "3"),
    "yes or no": (HEAD + ",injectable\nL1,1,perhaps\n", "wrong_value", "perhaps"),
    "guidance": (HEAD + ",guidance\nL1,1,mri\n", "wrong_value", "mri"),
    "priority": (HEAD + ",priority\nL1,1,high\n", "wrong_value", "high"),
    "empty": ("", "empty_table", "holds no table"),
    "a hundred digits": (HEAD + "\nL1," + "9" * 100 + "\n", "too_many_digits", "100 digits"),
    "larger than any lesion": (HEAD + "\nL1,10000.001\n", "volume_out_of_range", "mm³"),
    "a line in an id": (HEAD + '\n"L\n1",2\n', "lesion_id_unprintable", "'L\\n1'"),
    "a sign that cannot be seen": (HEAD + "\nL\u200b1,2\n", "lesion_id_unprintable", "u200b"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused_tables(tmp_path: Path, case: str) -> None:
    text, code, words = REFUSED[case]
    path = write(tmp_path, "lesions.csv", text)
    with pytest.raises(InputRefused) as refusal:
        read_lesion_table(path)
    assert refusal.value.code == code
    assert words in str(refusal.value)
    assert "lesions.csv" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"lesions": [{"lesion_id": "L1", "volume_ml": NaN}]}', "not_json"),
        ('{"lesions": [{"lesion_id": "L1", "volume_ml": 1e3}]}', "not_a_number"),
        ('{"lesions": [{"lesion_id": "L1", "volume_ml": 1.5e1}]}', "not_a_number"),
        ('{"lesions": [{"lesion_id": "L1", "volume_ml": 1e-1}]}', "not_a_number"),
        ("[" * 100_000, "not_json"),
        ('{"lesions": [{"lesion_id": "L1", "volume_ml": "4,2"}]}', "decimal_comma"),
        ('{"lesions": [{"lesion_id": "L1", "volume_ml": [1]}]}', "wrong_type"),
        ('{"lesions": {"L1": 1}}', "no_lesions_list"),
        ('{"lesion_id": "L1"}', "no_lesions_list"),
        ('{"lesions": [{"lesion_id": "L1", "volume_ml": 1, "maxml": 2}]}', "unknown_column"),
    ],
)
def test_refused_json(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        read_lesion_table(write(tmp_path, "lesions.json", text))
    assert refusal.value.code == code


def test_parquet_says_the_same(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "lesions.parquet"
    columns = {
        "lesion_id": ["L1", "L2"],
        "volume_ml": [0.1, 12.345],
        "max_ml": [None, Decimal("0.70")],
        "injectable": [True, False],
        "reason": ["", "vessel"],
        "priority": [1, None],
    }
    parquet.write_table(pyarrow.table(columns), path)
    csv = write(
        tmp_path,
        "lesions.csv",
        "lesion_id,volume_ml,max_ml,injectable,reason,priority\n"
        "L1,0.1,,yes,,1\nL2,12.345,0.70,no,vessel,\n",
    )
    assert read_lesion_table(path) == read_lesion_table(csv)
    parquet.write_table(pyarrow.table({"lesion_id": ["L1"], "volume_ml": [math.nan]}), path)
    with pytest.raises(InputRefused, match="NaN"):
        read_lesion_table(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(InputRefused, match="not Parquet"):
        read_lesion_table(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="cannot be read"):
        read_lesion_table(tmp_path / "absent.csv")
    with pytest.raises(InputRefused, match="ends in"):
        read_lesion_table(write(tmp_path, "lesions.xls", HEAD))
    latin = tmp_path / "latin.csv"
    latin.write_bytes("lesion_id,volume_ml,site\nL1,1,tête\n".encode("latin-1"))
    with pytest.raises(InputRefused, match="UTF-8"):
        read_lesion_table(latin)


def test_given_and_history_are_read(tmp_path: Path) -> None:
    given = read_given(
        write(
            tmp_path,
            "given.csv",
            "drug,lesion_id,deposit_id,ml,time,lot,expiry,closed,reason\n"
            "ipilimumab,L1,D1,0.35,2026-05-04T10:12,A1,2027-01,,\n"
            "ipilimumab,L2,,,,,,yes,reflux\n",
        )
    )
    assert (given[0].ml, given[0].lot, given[0].expiry) == (Decimal("0.35"), "A1", "2027-01")
    assert (given[1].ml, given[1].closed, given[1].reason) == (Decimal(0), True, "reflux")
    rows = "visit,date,lesion_id,drug,ml,mg\n1,2026-01-05,L1,ipilimumab,4.2,\n2,,L1,,,10.5\n"
    history = read_history(write(tmp_path, "history.csv", rows))
    assert (history[0].visit, history[0].ml, history[0].mg) == (1, Decimal("4.2"), None)
    assert (history[1].visit, history[1].ml, history[1].mg) == (2, None, Decimal("10.5"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("visit,lesion_id,drug,ml\n0,L1,ipilimumab,1\n", "wrong_value"),
        ("visit,lesion_id,drug,ml\nII,L1,ipilimumab,1\n", "wrong_value"),
        ("visit,lesion_id,drug,ml,mg\n1,L1,ipilimumab,,\n", "no_amount"),
        ("visit,lesion_id,drug,ml\n1,L1,ipilimumab,-1\n", "negative"),
        ("visit,lesion_id,drug,dose\n1,L1,ipilimumab,1\n", "unknown_column"),
        ("visit,date,lesion_id,ml\n1,05/01/2026,L1,1\n", "wrong_value"),
        ("visit,date,lesion_id,ml\n1,2026-02-30,L1,1\n", "wrong_value"),
        ("visit,date,lesion_id,ml\n1,10:15,L1,1\n", "wrong_value"),
        ("visit,date,lesion_id,ml\n1,2026-02,L1,1\n", "wrong_value"),
    ],
)
def test_refused_history(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        read_history(write(tmp_path, "history.csv", text))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("drug,lesion_id,ml\nipilimumab,,1\n", "no_lesion_id"),
        ("drug,lesion_id,ml\nipilimumab,L1,\n", "no_amount"),
        ("drug,lesion_id,ml,closed\nipilimumab,L1,1,maybe\n", "wrong_value"),
        ('drug,lesion_id,ml\nipilimumab,L1,"0,5"\n', "decimal_comma"),
        ("drug,lesion_id,ml,time\nipilimumab,L1,1,04/05/2026\n", "wrong_value"),
        ("drug,lesion_id,ml,time\nipilimumab,L1,1,2026-02-30\n", "wrong_value"),
    ],
)
def test_refused_given(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        read_given(write(tmp_path, "given.csv", text))
    assert refusal.value.code == code
