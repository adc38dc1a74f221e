"""What customers' browsers and other companies' systems may reach: the preference page and the signed inbound hooks."""
