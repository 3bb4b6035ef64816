"""Train signal decoders from a config, and use what was trained."""
