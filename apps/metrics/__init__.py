"""How near a signal is to another: pure functions of arrays."""
