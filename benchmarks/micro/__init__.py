"""Every kernel beside plain NumPy."""
