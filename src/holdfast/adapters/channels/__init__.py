"""The ways messages leave by: each a real ``ports.Channel``."""
