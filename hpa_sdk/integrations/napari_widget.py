"""The napari widget that shows in which organelles the protein of the shown field sits."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari.layers import Image
from napari.qt.threading import create_worker
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.errors import HpaError
from hpa_sdk.fields.samples import Channel
from hpa_sdk.inference.devices import KINDS
from hpa_sdk.integrations.napari_cells import LayerData, answer_cells, cell_texts, layer_of
from hpa_sdk.integrations.napari_fields import (
    Classified,
    LoadedModel,
    channels_of,
    classify,
    guess_channels,
    names_of,
    white_of,
)
from hpa_sdk.integrations.napari_layers import View, common_pixel_size, place_of, planes_of
from hpa_sdk.integrations.napari_review import ReviewPanel, files_of, stamp_of_planes
from hpa_sdk.preprocessing import Planes, White
from hpa_sdk.results.result import Result

if TYPE_CHECKING:
    from napari.viewer import Viewer

_MEANINGS = {"red": "microtubules", "green": "the protein", "blue": "nucleus", "yellow": "endoplasmic reticulum"}
_COLUMNS = ("Label", "Probability", "Threshold")
_FINEST_PIXEL = 4  # decimals of a micrometre
_NO_LAYER = "-"
_Found = TypeVar("_Found")
_CHANGED = "The field or a setting was changed since it was answered: classify again, or find its cells again."


@dataclass(frozen=True, slots=True)
class _ChosenField:
    """The planes that are shown, with the layers that they are from, and the settings for them."""

    layers: dict[Channel, Any]
    view: View
    planes: Planes
    white: White | None
    pixel_size: float | None
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the first layer."""
        return str(next(iter(self.layers.values())).name)


class ClassifyField(QWidget):  # type: ignore[misc] # Qt's bindings have no types of their own
    """Choose a model and a layer for each channel, and see the label set.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers are classified.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._loaded = LoadedModel()
        self._typed_pixel_size = False
        self._followed: list[weakref.ref[Any]] = []
        self._changes = 0
        self._cells: Any = None
        self.model, self.station = QLineEdit(), QLineEdit()
        self.device = QComboBox()
        self.device.addItems(["auto", *KINDS])
        self.device.setEditable(True)
        self.channels = {channel: QComboBox() for channel in Channel}
        self.white = QComboBox()
        self.white.setEditable(True)
        self.white.addItems(["", "4095", "65535", "dtype", "percentile"])
        self.pixel_size = QDoubleSpinBox(decimals=_FINEST_PIXEL, maximum=100.0, singleStep=0.01)
        self.pixel_size.setSpecialValueText("unknown")
        self.pixel_size.setToolTip("That of the layers, unless you type another one; type 0 to have theirs again.")
        self.button, self.cells_button = QPushButton("Classify"), QPushButton("Find the cells")
        self.cells_button.setToolTip(
            "Find the cells of the field and answer for each of them, as a layer of their own."
        )
        self.message = QLabel(wordWrap=True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)  # names of files and channels can look like HTML
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.verticalHeader().hide()
        self.review = ReviewPanel(self.table)
        self.keys = self.review.add_keys(self)
        self._lay_out()
        self.button.clicked.connect(self.classify)
        self.cells_button.clicked.connect(self.show_cells)
        self.station.editingFinished.connect(self.list_layers)
        self.pixel_size.valueChanged.connect(self._type_pixel_size)
        for box in self.channels.values():
            box.currentIndexChanged.connect(self._follow_pixel_size)
            box.currentIndexChanged.connect(self._outdate)
        settings = (self.model.textChanged, self.device.currentTextChanged, self.white.currentTextChanged)
        for setting in (*settings, self.pixel_size.valueChanged):
            setting.connect(self._outdate)
        napari_viewer.dims.events.point.connect(self._outdate_planes)
        for changed in (napari_viewer.layers.events.inserted, napari_viewer.layers.events.removed):
            changed.connect(self.list_layers)
        self.list_layers()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Model", self._with_dialogue(self.model, "Models (*.onnx *.zip)"))
        form.addRow("Station file", self._with_dialogue(self.station, "Station files (*.toml)"))
        self.station.setPlaceholderText("for its names of channels; not needed")
        form.addRow("Device", self.device)
        for channel, box in self.channels.items():
            form.addRow(f"{channel.capitalize()}: {_MEANINGS[channel]}", box)
        form.addRow("White of 16 bits", self.white)
        form.addRow("µm a pixel", self.pixel_size)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for part in (self.button, self.cells_button, self.message, self.table, self.review):
            layout.addWidget(part)

    def _with_dialogue(self, line: QLineEdit, kind: str) -> QWidget:
        def choose() -> None:
            path, _ = QFileDialog.getOpenFileName(self, "Choose a file", line.text(), kind)
            if path:
                line.setText(path)
                line.editingFinished.emit()

        row, button = QWidget(), QPushButton("...")
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(line)
        layout.addWidget(button)
        button.clicked.connect(choose)
        return row

    def list_layers(self, _: object = None) -> None:
        """List the image layers again: chosen layers stay chosen, also when renamed, and open channels are guessed."""
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        self._follow(layers)
        names = [layer.name for layer in layers]
        try:
            guessed = guess_channels(names, names_of(Path(text) if (text := self.station.text()) else None))
        except HpaError as error:
            self.message.setText(str(error))
            return
        for channel, box in self.channels.items():
            before, guess = box.currentData(), guessed[channel]
            chosen = [at for at, layer in enumerate(layers) if layer is before]
            with QSignalBlocker(box):
                box.clear()
                box.addItem(_NO_LAYER, None)
                for layer in layers:
                    box.addItem(layer.name, layer)
                box.setCurrentIndex(1 + (chosen[0] if chosen else -1 if guess is None else names.index(guess)))
            if box.currentData() is not before:
                self._outdate()
        self._follow_pixel_size()

    def _follow(self, layers: Sequence[Any]) -> None:
        known = {id(layer) for reference in self._followed if (layer := reference()) is not None}
        for layer in layers:
            if id(layer) not in known:
                layer.events.name.connect(self.list_layers)
                layer.events.scale.connect(self._follow_pixel_size)
                for name in ("data", "scale", "translate", "rotate", "shear", "affine", "units"):
                    getattr(layer.events, name).connect(self._outdate_layer)
        self._followed = [weakref.ref(layer) for layer in layers]

    def _outdate(self, _: object = None) -> None:
        """Remove the answer, because the field or a setting is no longer what it was made of."""
        self._changes += 1
        self.review.take(None)
        if self._cells is not None:
            self._cells.visible = False  # it is kept, as the user may have changed it
        if self.table.rowCount():
            self.table.setRowCount(0)
            self.message.setText(_CHANGED)

    def _outdate_layer(self, event: Any) -> None:  # noqa: ANN401 - napari has no types here
        if any(box.currentData() is event.source for box in self.channels.values()):
            self._outdate()

    def _outdate_planes(self, _: object = None) -> None:
        chosen = [box.currentData() for box in self.channels.values()]
        if any(layer is not None and layer.ndim > len(self._viewer.dims.displayed) for layer in chosen):
            self._outdate()

    def _type_pixel_size(self, value: float) -> None:
        self._typed_pixel_size = value > 0
        self._follow_pixel_size()

    def _follow_pixel_size(self, _: object = None) -> None:
        if not self._typed_pixel_size:
            with QSignalBlocker(self.pixel_size):
                self.pixel_size.setValue(self._pixel_size_of_layers() or 0.0)

    def _pixel_size_of_layers(self) -> float | None:
        chosen = [box.currentData() for box in self.channels.values()]
        return common_pixel_size([layer for layer in chosen if layer is not None])

    def _view(self, layers: Iterable[Any]) -> View:
        dims = self._viewer.dims
        margins = [*dims.margin_left, *dims.margin_right]
        projected = any(str(layer.projection_mode) != "none" for layer in layers if layer is not None)
        return View(
            point=tuple(dims.point),
            displayed=tuple(dims.displayed),
            units=getattr(dims, "units", None),
            thick=projected and any(margins),
        )

    def _chosen_field(self, taken: Sequence[Channel]) -> _ChosenField:
        """Return the field that is shown.

        Raises
        ------
        HpaError
            The layers of these channels, or a setting, can't be used.
        """
        chosen = {channel: self.channels[channel].currentData() for channel in taken}
        view = self._view(chosen.values())
        field = planes_of(chosen, view, taken)
        of_layers = self._pixel_size_of_layers()
        pixel_size = self.pixel_size.value() if self._typed_pixel_size else of_layers
        notes = field.notes
        if self._typed_pixel_size:
            theirs = "do not say it" if of_layers is None else f"say {of_layers:.4g}"
            notes = (*notes, f"the pixel size was typed: {pixel_size:.4g} um; the layers {theirs}")
        return _ChosenField(chosen, view, field.planes, white_of(self.white.currentText()), pixel_size, notes)

    def classify(self) -> None:
        """Classify the field in the background; the answer is shown when it is ready."""
        model, device = Path(self.model.text()), self.device.currentText()
        try:
            field = self._chosen_field(channels_of(model))
        except HpaError as error:
            self._fail(error)
            return

        def work() -> tuple[Classified, Result]:
            predictor = self._loaded.predictor(model, device)
            found = classify(predictor, field.planes, white=field.white, pixel_size=field.pixel_size, name=field.name)
            found = replace(found, notes=(*field.notes, *found.notes))
            answer = replace(found.prediction, id=field.name)
            if read := files_of(field.layers, field.planes):
                answer = replace(answer, id=read[0], files=read[1].files, channels=read[1].channels)
            result = Result.of(answer, model_sha256=predictor.model.sha256, device=predictor.device, notes=found.notes)
            # The name of a layer identifies no picture: without files, its pixels do.
            return found, result if read else replace(result, stamps=(stamp_of_planes(field.planes),))

        self.table.setRowCount(0)
        self.review.take(None)
        self._begin(work, self._show, "Classifying ...")

    def show_cells(self) -> None:
        """Find the cells of the field and answer for them in the background; they become a layer."""
        model, device = Path(self.model.text()), self.device.currentText()
        taken = {*channels_of(model), Channel.BLUE}  # without nuclei, no cells are found
        try:
            field = self._chosen_field([channel for channel in Channel if channel in taken])
        except HpaError as error:
            self._fail(error)
            return

        def work() -> tuple[CellAnswers, LayerData]:
            predictor = self._loaded.predictor(model, device)
            answers = answer_cells(
                predictor, field.planes, white=field.white, pixel_size=field.pixel_size, name=field.name
            )
            return answers, layer_of(answers, model_sha256=predictor.model.sha256, device=predictor.device)

        def show(found: tuple[CellAnswers, LayerData]) -> None:
            answers, (labels, options, _) = found
            self.message.setText("\n".join([*cell_texts(answers), *field.notes, *answers.segmentation.notes]))
            layer = next(iter(field.layers.values()))
            units = layer.units[-2:] if field.view.units is None else field.view.units[-2:]
            self._cells = self._viewer.add_labels(labels, affine=place_of(layer, field.view), units=units, **options)

        self._begin(work, show, "Finding cells ...")

    def _begin(self, work: Callable[[], _Found], show: Callable[[_Found], None], text: str) -> None:
        buttons, changes = (self.button, self.cells_button), self._changes
        for button in buttons:
            button.setEnabled(False)
        self.message.setText(text)

        def show_unless_changed(found: _Found) -> None:
            if changes == self._changes:
                show(found)
            else:
                self.message.setText(_CHANGED)

        def finish() -> None:
            for button in buttons:
                button.setEnabled(True)

        parts = {"returned": show_unless_changed, "errored": self._fail, "finished": finish}
        # Errors are shown here; napari would also raise them.
        create_worker(work, _connect=parts, _ignore_errors=True)

    def _fail(self, error: Exception) -> None:
        self.message.setText(str(error) if isinstance(error, HpaError) else repr(error))
        self.table.setRowCount(0)

    def _show(self, answer: tuple[Classified, Result]) -> None:
        classified, result = answer
        prediction = classified.prediction
        labels = "; ".join(map(str, prediction)) or "No label reaches its threshold"
        warnings = [f"\u26a0 {warning}" for warning in prediction.warnings]
        self.message.setText("\n".join([labels, f"on {result.device}", *warnings, *result.notes]))
        order = sorted(
            prediction.scheme, key=lambda label: (label not in prediction, -prediction.probabilities[int(label)])
        )
        self.table.setRowCount(len(order))
        for at, label in enumerate(order):
            numbers = prediction.probabilities[int(label)], prediction.thresholds[int(label)]
            for column, text in enumerate((str(label), *(f"{number:.3f}" for number in numbers))):
                item = QTableWidgetItem(text)
                font = item.font()
                font.setBold(label in prediction)
                item.setFont(font)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                if column == 0:
                    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                    item.setCheckState(Qt.CheckState.Checked if label in prediction else Qt.CheckState.Unchecked)
                self.table.setItem(at, column, item)
        self.table.resizeColumnsToContents()
        self.review.take(result, tuple(map(int, order)))
