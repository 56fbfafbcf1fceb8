"""Clicks as they come, counted in clusters."""
