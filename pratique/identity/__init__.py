"""People, their logins, and agents' API keys: who somebody is, by what they can show."""
