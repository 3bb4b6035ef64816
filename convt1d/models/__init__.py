"""Signal models made of the layers."""
