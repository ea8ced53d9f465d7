"""What tests of pages share: one browser, since a process can't have two at once."""

from tests.browser import browser

__all__ = ["browser"]
