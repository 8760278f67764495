"""One trial: write, corrupt, read, evaluate, record."""
