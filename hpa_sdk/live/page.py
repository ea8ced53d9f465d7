"""Starts the page, the predictor, the results and the hot folder of one workstation, and stops them in order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Literal

import click

from hpa_sdk.errors import HpaError, SettingError
from hpa_sdk.live.app import make_app
from hpa_sdk.live.notices import collect_warnings
from hpa_sdk.live.result_view import ResultView
from hpa_sdk.live.review_service import ReviewService
from hpa_sdk.live.server import listening, rules_for, serving, url_of
from hpa_sdk.live.service import Service
from hpa_sdk.live.shared_stream import SharedStream
from hpa_sdk.results.result_store import UPLOADS, ResultStore
from hpa_sdk.workstation.hot_folder import HotFolder
from hpa_sdk.workstation.station import Station
from hpa_sdk.workstation.station_setup import load_predictor, open_store

_SECONDS_A_PUBLICATION = 1.0
_log = logging.getLogger("hpa_sdk")


def run(
    station: Station,
    *,
    host: str,
    port: int,
    token: str | None,
    watches: bool,
    existing: Literal["do", "skip"],
    stop: threading.Event,
    on_url: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the page, and watch the station's folder if asked to, until the event is set.

    Parameters
    ----------
    station : Station
        The rules, the model file and the folders.
    host, port : str, int
        The address.
    token : str or None
        The token that every client needs.
    watches : bool
        Whether to watch the folder.
    existing : str
        As for `HotFolder`.
    stop : threading.Event
        Ends it.
    on_url : callable
        Called with the URL of the page when it is served: with port 0, the system chooses the port.

    Raises
    ------
    SettingError
        The address is not available, or needs a token.
    HpaError
        As for `ResultStore`, `Predictor.load` and `HotFolder`.
    """
    rules = rules_for(host, token)
    _check_folders(station, watches=watches)
    with ExitStack() as opened:
        taken = opened.enter_context(listening(host, port))
        store = opened.enter_context(open_store(station))
        view = opened.enter_context(closing(ResultView(store.ledger.path)))
        reviews = opened.enter_context(closing(ReviewService(store, view)))
        notices = opened.enter_context(collect_warnings())
        predictor = load_predictor(station)
        stream = opened.enter_context(SharedStream(predictor))
        service = Service(
            station, predictor, store, view=view, reviews=reviews, stream=stream, watches=watches, notices=notices
        )
        watch = HotFolder(station, predictor, store, existing=existing) if watches else None
        opened.enter_context(serving(make_app(service, rules, stop.is_set), taken, stop))
        doing = f"Watching {station.watch}" if watch else "Answering what is sent"
        click.echo(f"{doing} on {predictor.device}; the page is {url_of(taken)}.", err=True)
        on_url(url_of(taken))
        if watch:
            watch.run(stop)
        else:
            _publish_until(stop, store)


def _check_folders(station: Station, *, watches: bool) -> None:
    uploads = station.output / UPLOADS
    if watches and station.files.recursive and uploads.absolute().is_relative_to(station.watch.absolute()):
        raise SettingError(
            "results go to a folder that is watched with those below it: fields that are sent would be answered twice",
            where=station.output,
            remedy="Name another folder for results, or watch one folder alone.",
        )


def _publish_until(stop: threading.Event, store: ResultStore) -> None:
    """Write files and rows of results as they arrive; a hot folder does so by itself."""
    trouble = ""
    while not stop.wait(_SECONDS_A_PUBLICATION):
        try:
            store.publish()
        except HpaError as error:
            if str(error) != trouble:
                _log.warning("%s", error)
            trouble = str(error)
        else:
            trouble = ""
    store.publish()
