"""Tests of hpa_sdk.workstation."""
