"""Taking people away: whose records are meant, and what becomes of each."""
