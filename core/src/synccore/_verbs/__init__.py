"""What a person can ask for: one module a verb, with a typed answer. Terminal and dashboard are its two faces."""
