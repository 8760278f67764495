"""What happens inside a network: where values pass, and how layers follow each other."""
