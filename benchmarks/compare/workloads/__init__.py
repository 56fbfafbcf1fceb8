"""What is timed beside other libraries."""
