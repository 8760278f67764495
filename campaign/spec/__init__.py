"""A YAML spec, the grid it stands for, and the identity of each trial."""
