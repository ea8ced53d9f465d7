"""Reviews fields on the live page with the keyboard alone, as a person who knows the truth."""

from __future__ import annotations

from typing import Any

from hpa_sdk.labels import Label

Truth = dict[str, list[int]]
"""The labels of each field, by its id."""

_DIGITS = 9
_REVIEWER = "Keyboard"
_NAME = "#field .field-id span"
_MOST_TABS = 400
_SCROLLED = "document.querySelector('#field').scrollTop > 0"
_ROWS = """rows => rows.map(row => [row.querySelector('.choice span').textContent,
    row.querySelector('.choice input').checked])"""
_SAVED = """([name, shown]) => {
    const state = document.querySelector('#review-state').textContent;
    return document.querySelector(name).title !== shown || state.includes('No field is left');
}"""


class LoopError(Exception):
    """Something in the loop is not as it must be."""


class Reviewer:
    """Reviews on the page with the keyboard alone.

    Parameters
    ----------
    visit : playwright.sync_api.Page
        The page.
    truth : dict of str to list of int
        The labels of all fields; it can grow.

    Attributes
    ----------
    keys : int
        Keys that were pressed, without those of the name.
    """

    def __init__(self, visit: Any, truth: Truth) -> None:  # noqa: ANN401 - playwright may be absent
        self._visit = visit
        self._truth = truth
        self.keys = 0

    def start(self) -> None:
        """Begin to review."""
        self._visit.get_by_text("Live", exact=True).wait_for()
        self._tab_to("document.activeElement.id === 'review'")
        self._press("Enter")
        self._visit.locator("#reviewer-name").wait_for()
        self._visit.keyboard.type(_REVIEWER)
        self._press("Enter")
        self._visit.locator("#review-state", has_text=":").wait_for()

    def review(self, count: int) -> Truth:
        """Review as many fields, in the order in which the page offers them; return the label sets that were given."""
        keyed: Truth = {}
        if self._visit.locator("#review-state", has_text="No field is left").count():
            self._press("ArrowRight")  # fields arrived since
            self._visit.locator("#review-state", has_not_text="No field is left").wait_for()
        for _ in range(count):
            shown = self._visit.locator(_NAME).get_attribute("title")
            keyed[shown] = self._key(self._truth[shown])
            self._visit.wait_for_function(_SAVED, arg=[_NAME, shown])
            if self._visit.locator(_NAME).get_attribute("title") != shown and self._visit.evaluate(_SCROLLED):
                raise LoopError(f"after {shown} the next field is shown from its middle on")
        if len(keyed) != count:
            raise LoopError(f"{count} fields were to be reviewed, and the page showed {len(keyed)}")
        return keyed

    def _key(self, labels: list[int]) -> list[int]:
        """Press the keys for the labels of the field that is shown."""
        names = [Label(label).hpa_name for label in labels]
        rows = self._visit.locator("#field tbody tr").evaluate_all(_ROWS)
        if {name for name, ticked in rows if ticked} == set(names):
            self._press("r")
            return labels
        listed = [name for name, _ in rows]
        for at, (name, ticked) in enumerate(rows[:_DIGITS]):
            if ticked != (name in names):
                self._press(str(at + 1))
        if beyond := [name for name in names if name not in listed[:_DIGITS]]:
            if not set(beyond) <= set(listed):
                self._tab_to("document.activeElement.matches('#field button[aria-expanded=false]')")
                self._press("Enter")
            for name in beyond:
                self._tab_to(f"document.activeElement.closest('#field .choice')?.innerText.trim() === {name!r}")
                self._press("Space")
        self._press("l")
        return labels

    def _tab_to(self, condition: str) -> None:
        for _ in range(_MOST_TABS):
            if self._visit.evaluate(condition):
                return
            self._press("Tab")
        raise LoopError(f"the keyboard does not reach: {condition}")

    def _press(self, key: str) -> None:
        self.keys += 1
        self._visit.keyboard.press(key)
