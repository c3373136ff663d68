"""What the columns of known data sets mean."""
