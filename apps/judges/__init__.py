"""Who measures a run once it is trained: they may take their time, and learn what they judge by."""
