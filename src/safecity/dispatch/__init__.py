"""Travel times and the recommendation of units."""
