"""The cards for the room, with the skin and the views along each needle, beside the main window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QPixmap
from PyQt6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QScrollArea,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from irplan.export.needle_views import NeedleViews, needle_views
from irplan.export.pictures import Picture
from irplan.export.raster import draw_picture
from irplan.plan import InjectionPlan
from irplan.tasks import Task
from ui.case import Case
from ui.images import rgb_image
from ui.runner import TaskRunner

_BIG, _SMALL = 380, 230
#: Words on their ground: the style sheet of the window does not reach into rich text.
_GROUND, _INK, _AMBER = "#11161c", "#e8eef4", "#ffb547"
_GUIDED = {"ct": "CT", "ultrasound": "ultrasound", "palpation": "palpation"}


class RoomWindow(QDialog):
    """One card at a time: words at the left, pictures at the right.

    The words are those of the plan; the slices are sampled on a worker, the skin is rendered
    when they are there. A plan that is no longer the present one takes its pictures with it.
    """

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Cards for the room")
        self.resize(1280, 860)
        self._case = case
        self._plan: InjectionPlan | None = None
        self._document: Mapping[str, Any] = {}
        self._cards: list[Mapping[str, Any]] = []
        self._views: dict[str, NeedleViews] = {}
        self._wanted: Mapping[str, Any] | None = None
        self.runner = TaskRunner(self)
        self.cards = QListWidget()
        self.cards.setAccessibleName("cards")
        self.cards.setMaximumHeight(220)
        self.words = QTextBrowser()
        self.words.setAccessibleName("card")
        self.words.setStyleSheet(f"background: {_GROUND}; color: {_INK};")
        self.pictures = QWidget()
        self.pictures.setStyleSheet(f"background: {_GROUND}; color: {_INK};")
        self._rows = QVBoxLayout(self.pictures)
        self._lay_out()
        self.cards.currentRowChanged.connect(self._on_row)
        for ended in (self.runner.cancelled, self.runner.refused, self.runner.faulted):
            ended.connect(self._on_failed)
        case.changed.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.addWidget(QLabel("For research use only – not a medical device"))
        left.addWidget(self.cards)
        left.addWidget(self.words, 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(self.pictures)
        whole = QHBoxLayout(self)
        whole.addLayout(left, 2)
        whole.addWidget(area, 5)

    def refresh(self) -> None:
        """Show the cards of the plan that stands now."""
        plan = self._case.plan
        if plan is self._plan and plan is not None:
            return
        self._plan, self._views = plan, {}
        self._document = {} if plan is None else plan.document()
        self._cards = list(self._document.get("cards", ()))
        self.cards.clear()
        for card in self._cards:
            name = card["needle_id"] if card["kind"] == "needle" else card["lesion_id"]
            target = f" → {card['lesion_id']}" if card["kind"] == "needle" else ""
            self.cards.addItem(f"{name}{target}, {_GUIDED[card['guidance']]}")
        if self._cards:
            self.cards.setCurrentRow(0)
        else:
            self.words.setPlainText("No plan stands: propose paths first.")
            self._clear()

    def _on_row(self, row: int) -> None:
        if not 0 <= row < len(self._cards):
            return
        card = self._cards[row]
        self.words.setHtml(self._html(card))
        self._wanted = card
        self._draw()

    def _html(self, card: Mapping[str, Any]) -> str:
        """The card's words as a table; what nobody segmented stands first."""
        from irplan.export.report_cards import fact_rows, needle_rows
        from irplan.export.report_front import dose_ml, gauge_text

        needle = self._needle(card)
        rows: list[tuple[str, str]] = []
        if card["kind"] == "needle" and needle is not None:
            rows = [
                ("needle", gauge_text(needle)),
                ("depth, skin to tip", f"{needle['depth_mm']} mm"),
                ("axial angle (in plane)", f"{needle['axial_angle_deg']}°"),
                ("craniocaudal (out of plane)", f"{needle['craniocaudal_angle_deg']}°"),
                *needle_rows(card),
            ]
            rows += [
                (
                    f"deposit #{one['order']}",
                    f"{one['depth_mm']} mm from the skin: {self._ml(one['ml'])}",
                )
                for one in card["deposits"]
            ]
        else:
            rows = fact_rows(self._document, card)
            rows += [
                (
                    f"pass {one['pass']} {one['needle_id'] or '(reckoned)'}",
                    f"{one['deposits']} deposit{'' if one['deposits'] == 1 else 's'}: "
                    + "; ".join(
                        f"{drug} {dose_ml(self._document, ml)} mL" for drug, ml in one["ml"].items()
                    ),
                )
                for one in card["passes"]
            ]
        unknown = ", ".join(self._document["unknown_structures"])
        lines = "".join(
            f"<tr><td valign='top'>{escape(name)}</td><td><b>{escape(words)}</b></td></tr>"
            for name, words in rows
        )
        warning = f"<b>NOT SEGMENTED – UNKNOWN, NOT SAFE:</b> {escape(unknown)}"
        head = f"<p style='color:{_AMBER}'>{warning}</p>"
        return f"{head if unknown else ''}<table cellpadding='3'>{lines}</table>"

    def _ml(self, volumes: Mapping[str, Any]) -> str:
        from irplan.export.report_front import dose_ml

        return "; ".join(f"{drug} {dose_ml(self._document, ml)} mL" for drug, ml in volumes.items())

    def _needle(self, card: Mapping[str, Any]) -> Mapping[str, Any] | None:
        name = card["needle_id"]
        return next((one for one in self._document["needles"] if one["needle_id"] == name), None)

    def _on_failed(self, *_: object) -> None:
        self._clear("The views along this needle could not be drawn.")

    def _draw(self) -> None:
        """Draw the card that is wanted, as soon as the worker is free and its slices are there."""
        card, plan = self._wanted, self._plan
        if card is None or plan is None or self.runner.busy:
            return
        needle = self._needle(card)
        if needle is None or needle["needle_id"] in self._views:
            views = self._views.get(needle["needle_id"]) if needle is not None else None
            self._show(card, views)
            return
        volume, anatomy, name = self._case.volume, self._case.state.anatomy, needle["needle_id"]
        if volume is None:
            return
        found = volume
        self._clear("Sampling the slices along the needle …")

        def work(_task: Task) -> NeedleViews:
            return needle_views(needle, found, plan.lesions, anatomy)

        def then(made: NeedleViews) -> None:
            if self._plan is plan:
                self._views[name] = made
            self._draw()

        self.runner.run("Drawing the needle", work, then)

    def _show(self, card: Mapping[str, Any], views: NeedleViews | None) -> None:
        """Put the pictures of a card into the window."""
        self._clear()
        skin = self._skin(card)
        first: list[tuple[Picture, int]] = [] if skin is None else [(skin, _BIG)]
        if views is not None:
            first.append((views.level, _BIG))
            self._add_row(first)
            self._add_row([(views.upright, _BIG), (views.eye, _BIG)])
            self._add_row([(one, _SMALL) for one in views.slices])
        elif first:
            self._add_row(first)
        else:
            self._clear("CT does not show this lesion: no picture.")
        self._rows.addStretch(1)

    def _skin(self, card: Mapping[str, Any]) -> Picture | None:
        from irplan.export.skin_picture import skin_picture

        case, plan = self._case, self._plan
        if card["skin"] is None or case.volume is None or case.body is None or plan is None:
            return None
        name = card["needle_id"] or "nearest safe skin"
        return skin_picture(
            card["skin"],
            [(name, card["skin"]["point_lps_mm"])],
            case.body,
            case.volume.geometry,
            case.state.anatomy,
            plan.lesions,
        )

    def _add_row(self, pictures: Sequence[tuple[Picture, int]]) -> None:
        line = QHBoxLayout()
        for picture, width in pictures:
            shown, caption = QLabel(), QLabel(picture.caption)
            pixels = draw_picture(picture, width / picture.view.columns)
            shown.setPixmap(QPixmap.fromImage(rgb_image(pixels)))
            shown.setAccessibleName(picture.caption)
            caption.setWordWrap(True)
            caption.setMaximumWidth(width)
            column = QVBoxLayout()
            column.addWidget(shown)
            column.addWidget(caption)
            column.addStretch(1)
            line.addLayout(column)
        line.addStretch(1)
        holder = QWidget()
        holder.setLayout(line)
        self._rows.addWidget(holder)

    def _clear(self, words: str = "") -> None:
        while self._rows.count():
            item = self._rows.takeAt(0)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.deleteLater()
        if words:
            label = QLabel(words)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._rows.addWidget(label)
