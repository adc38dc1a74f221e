"""Holdfast: which customers are about to leave, why, what each is worth saving, and how many were kept."""
