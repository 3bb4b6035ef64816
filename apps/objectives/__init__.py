"""What is trained, and how well it must do."""
