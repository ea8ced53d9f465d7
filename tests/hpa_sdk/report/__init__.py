"""Tests of hpa_sdk.report."""
