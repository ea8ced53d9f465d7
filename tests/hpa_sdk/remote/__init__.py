"""Tests of archives that lie elsewhere, against servers on this computer."""
