"""The only place that knows which executor, store and tracker are in use."""
