"""How much is found, and the cheapest setting that finds enough."""
