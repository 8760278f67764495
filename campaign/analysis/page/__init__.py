"""The report of a campaign as one web page that needs nothing else to open."""
