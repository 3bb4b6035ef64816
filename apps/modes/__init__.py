"""What a trained run can make: one file for each mode of `python -m apps.generate`."""
