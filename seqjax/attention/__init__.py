"""Attention arithmetic: functions on arrays."""
