"""Weight in, doses out. A dose is shown only while everything that it was made from stands."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from irplan import units
from irplan.errors import CallError
from ui.case import Case
from ui.rows import totals_text

#: Smallest step of a dose, mL; the first is the protocol's own.
INCREMENTS = ("", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5")


class DosePanel(QGroupBox):
    """Protocol, weight and what else its rule needs; the button; the totals."""

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__("Dose", parent)
        self._case = case
        self._edited = False
        self.protocol = QComboBox()
        self.protocol.setAccessibleName("protocol")
        self.weight = _number("weight", "e.g. 70.5")
        self.height_cm = _number("height", "e.g. 172")
        self.prescribed = _number("prescribed dose", "e.g. 20")
        self.increment = QComboBox()
        self.increment.addItems(["protocol's own", *(f"{step} mL" for step in INCREMENTS if step)])
        self.button = QPushButton("Split the dose")
        self.button.setObjectName("primary")
        self.refusal = _wrapped("refusal")
        self.totals = _wrapped("")
        self.note = _wrapped("quiet")
        self._labels: dict[QWidget, QLabel] = {}
        self._lay_out()
        self.protocol.activated.connect(self._on_protocol)
        self.increment.activated.connect(self._on_increment)
        self.button.clicked.connect(self.split)
        self._fields = (
            (self.weight, "weight_kg", "weight in kg"),
            (self.height_cm, "height_cm", "height in cm"),
            (self.prescribed, "prescribed_mg", "prescribed dose in mg"),
        )
        for field, name, _ in self._fields:
            field.textEdited.connect(partial(self._on_edited, name))
            field.returnPressed.connect(self.split)
        case.opened.connect(self._on_opened)
        case.rewound.connect(self._on_rewound)
        case.changed.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(6)
        rows: tuple[tuple[str, QWidget, str], ...] = (
            ("Protocol", self.protocol, ""),
            ("Weight", self.weight, "kg"),
            ("Height", self.height_cm, "cm"),
            ("Prescribed", self.prescribed, "mg"),
            ("Smallest step", self.increment, ""),
        )
        for number, (name, field, unit) in enumerate(rows):
            label, suffix = QLabel(name), QLabel(unit)
            label.setBuddy(field)
            grid.addWidget(label, number, 0)
            grid.addWidget(field, number, 1, 1, 1 if unit else 2)
            if unit:
                grid.addWidget(suffix, number, 2)
                self._labels[suffix] = suffix
            self._labels[field] = label
            field.setProperty("suffix", suffix)
        grid.setColumnStretch(1, 1)
        column = QVBoxLayout(self)
        column.setSpacing(6)
        column.addLayout(grid)
        column.addWidget(self.refusal)
        column.addWidget(self.button)
        column.addWidget(self.totals)
        column.addWidget(self.note)

    # What a person does ---------------------------------------------------------------------

    def split(self) -> None:
        """Read the numbers and split the dose; where one is refused, say why at the field."""
        needs = self._case.dose_needs
        try:
            choices: dict[str, Any] = {
                "weight_kg": self._read(self.weight, "weight in kg", needs.weight),
                "height_cm": self._read(self.height_cm, "height in cm", needs.height),
            }
            mg = self._read(self.prescribed, "prescribed dose in mg", bool(needs.prescribed))
            drugs = needs.prescribed if mg is not None else ()
            choices["prescribed_mg"] = tuple((drug, mg) for drug in drugs)
        except CallError as error:
            self._edited = True
            for field, name, _ in self._fields:
                if field.property("wrong"):
                    self._case.forget(name)
            self._refuse(str(error))
            return
        self._edited = False
        self._case.split_dose(**choices)

    def _read(self, field: QLineEdit, what: str, needed: bool) -> Decimal | None:
        text = field.text().strip()
        if not needed or not text:
            if needed:
                _mark(field, True)
                raise CallError("missing", f"the {what} is missing", "the protocol's rule needs it")
            return None
        try:
            value = units.parse_positive(text, what)
        except CallError:
            _mark(field, True)
            raise
        _mark(field, False)
        return value

    def _on_edited(self, name: str, _: str) -> None:
        """Any keystroke: the number being typed and every dose made from the old one are void."""
        self._edited = True
        self._case.forget(name)
        self._refuse("")
        for field, _, what in self._fields:
            try:
                if field.text().strip():
                    units.parse_positive(field.text(), what)
                _mark(field, False)
            except CallError as error:
                _mark(field, True)
                self._refuse(str(error))
        self.refresh()

    def _on_rewound(self) -> None:
        self._edited = False

    def _on_protocol(self, number: int) -> None:
        self._case.choose(protocol=self.protocol.itemText(number))

    def _on_increment(self, number: int) -> None:
        step = INCREMENTS[number]
        self._case.choose(increment_ml=Decimal(step) if step else None)

    # What is shown --------------------------------------------------------------------------

    def _on_opened(self) -> None:
        self._edited = False
        self.protocol.clear()
        self.protocol.addItems(self._case.protocol_names())
        self._refuse("")

    def refuse(self, message: str) -> None:
        """Say at the fields why the dose was refused."""
        self._refuse(message)

    def _refuse(self, message: str) -> None:
        self.refusal.setText(f"■ {message}" if message else "")
        self.refusal.setVisible(bool(message))

    def refresh(self) -> None:
        """Show what stands now, and nothing that does not."""
        case = self._case
        request, needs = case.state.request, case.dose_needs
        self._show_field(self.weight, needs.weight)
        self._show_field(self.height_cm, needs.height)
        self._show_field(self.prescribed, bool(needs.prescribed))
        index = self.protocol.findText(request.protocol)
        self.protocol.setCurrentIndex(index)
        step = units.decimal_text(request.increment_ml) if request.increment_ml else ""
        self.increment.setCurrentIndex(INCREMENTS.index(step) if step in INCREMENTS else 0)
        if not self._edited:
            _set(self.weight, request.weight_kg)
            _set(self.height_cm, request.height_cm)
            _set(self.prescribed, request.prescribed_mg[0][1] if request.prescribed_mg else None)
        allocation = case.state.allocation
        if allocation is not None:
            lines = totals_text(allocation.document())
            self.totals.setText(f"<b>{lines[0]}</b>" + "".join(f"<br>{line}" for line in lines[1:]))
        elif not case.state.lesions:
            self.totals.setText("No lesion yet.")
        else:
            self.totals.setText("No dose: not split yet, or an input has changed.")
        self.note.setText(needs.note)
        self.note.setVisible(bool(needs.note) and allocation is None and not case.state.lesions)
        self.protocol.setToolTip(needs.note)
        self.button.setEnabled(case.is_open and bool(case.state.lesions))

    def _show_field(self, field: QLineEdit, shown: bool) -> None:
        field.setVisible(shown)
        self._labels[field].setVisible(shown)
        suffix = field.property("suffix")
        suffix.setVisible(shown)


def _number(name: str, example: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(example)
    field.setAccessibleName(name)
    field.setMaxLength(12)
    return field


def _wrapped(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.AutoText)
    return label


def _mark(field: QLineEdit, wrong: bool) -> None:
    if bool(field.property("wrong")) != wrong:
        field.setProperty("wrong", wrong)
        style = field.style()
        if style is not None:
            style.unpolish(field)
            style.polish(field)


def _set(field: QLineEdit, value: Decimal | None) -> None:
    field.setText("" if value is None else units.decimal_text(value))
    _mark(field, False)
