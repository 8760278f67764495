"""The live app over results folders: reads rows while they are written, and writes nothing."""
