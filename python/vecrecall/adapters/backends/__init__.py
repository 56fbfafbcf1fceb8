"""What each library is asked for, one module per library."""
