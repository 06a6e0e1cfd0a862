"""From a shop's record to what Salesforce is sent: default mappings, values by described type, the record itself."""
