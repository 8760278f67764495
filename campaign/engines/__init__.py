"""Where trials run and to whom their rows go."""
