"""Customer features, each declared once: computation, Feast field, expectation, documentation and reason text."""
