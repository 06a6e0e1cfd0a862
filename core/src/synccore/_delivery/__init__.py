"""Delivery: one lane per sink claims what is owed, maps it, hands it over and settles what came of it."""
