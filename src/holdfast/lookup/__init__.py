"""The look-up API: what other services read of customers, by key."""
