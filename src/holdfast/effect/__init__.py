"""What campaigns did: trials built from logged assignments, their outcomes, and what may be claimed from them. Pure."""
