"""Finds the starter model of the checkout, for the tests that need its answers."""

import pytest

from tests.conftest import ROOT, STARTER

FIELDS = ROOT / "examples" / "fields"

needs_starter = pytest.mark.skipif(not STARTER.is_file(), reason="hpa_sdk/models/starter.onnx is not in this checkout")
