"""Timings side by side with peers; stored with date and device, never deciding a test."""
