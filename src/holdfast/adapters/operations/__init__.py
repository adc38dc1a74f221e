"""The operations database: what Holdfast decided, promised and sent, and the vault of contacts and consents."""
