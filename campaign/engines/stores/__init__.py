"""Where rows are kept: a journal sealed into Parquet parts, or memory."""
