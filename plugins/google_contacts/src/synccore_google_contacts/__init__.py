"""Google Contacts as a synccore sink."""
