"""``python -m training download``: gets real data."""

from __future__ import annotations

from hpa_sdk.cli.group import CommandGroup

download = CommandGroup(
    name="download",
    home="training.cli",
    modules={"hpa": "download_hpa", "kaggle": "download_kaggle"},
    help="Get real data in the Kaggle form.",
)
