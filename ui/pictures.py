"""Makes the surfaces of the 3-D view on a worker of its own; it never touches the session."""

from __future__ import annotations

from typing import Any

from PyQt6.QtCore import QObject

from irplan.geometry import BoolArray
from irplan.lesions.lesion import Lesion
from irplan.tasks import Task
from irplan.volume import CtVolume
from ui import surfaces
from ui.runner import TaskRunner
from ui.view3d import View3D


class PictureMaker(QObject):
    """Builds what the 3-D view shows from frozen data; the newest request wins."""

    def __init__(self, view: View3D, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self.runner = TaskRunner(self)
        self._wanted: tuple[CtVolume, BoolArray] | None = None
        self._waiting = False
        self._lesions: dict[str, tuple[Any, Any]] = {}
        for ended in (self.runner.cancelled, self.runner.refused, self.runner.faulted):
            ended.connect(self._next)

    def show_patient(self, volume: CtVolume, body: BoolArray) -> None:
        """Skin and bone of a newly opened scan."""
        self._wanted, self._waiting, self._lesions = (volume, body), True, {}
        self.runner.cancel()
        self._next()

    def show_lesions(self, lesions: tuple[Lesion, ...]) -> None:
        """The lesions' surfaces, made at once: they are small. Unchanged masks are kept."""
        made = {}
        for lesion in lesions:
            if lesion.mask is None:
                continue
            mask, surface = self._lesions.get(lesion.lesion_id, (None, None))
            if mask is not lesion.mask:
                surface = surfaces.lesion_surface(lesion.mask)
            made[lesion.lesion_id] = (lesion.mask, surface)
        self._lesions = made
        self._view.set_lesion_surfaces({name: pair[1] for name, pair in made.items()})

    def _next(self, *_: object) -> None:
        if self.runner.busy or not self._waiting or self._wanted is None:
            return
        self._waiting = False
        volume, body = self._wanted

        def work(task: Task) -> tuple[Any, Any]:
            skin = surfaces.skin_surface(body, volume.geometry, task)
            return skin, surfaces.bone_surface(volume, body, task)

        def then(made: tuple[Any, Any]) -> None:
            if self._wanted is not None and self._wanted[0] is volume:
                self._view.set_surfaces(*made)
            self._next()

        self.runner.run("Building the 3-D view", work, then)
