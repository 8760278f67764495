"""The command line: reads arguments, prints, and ends with a documented exit code."""

from campaign.cli.app import main

__all__ = ["main"]
