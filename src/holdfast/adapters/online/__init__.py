"""The online store, written in bulk in Feast's own byte layout, whichever store the settings name."""
