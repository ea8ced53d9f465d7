"""Tests of hpa_sdk.review."""
