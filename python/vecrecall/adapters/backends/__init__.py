"""The libraries that can be wrapped, one module each."""
