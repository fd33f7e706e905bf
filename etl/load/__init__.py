"""Writes one snapshot into the tables, in the caller's transaction. Sends no HTTP requests."""
