"""Rows to curves, tables and figures; needs no torch and no ray."""
