"""Centroid assignment, k-means, and groups of users."""
