"""The compared tools, one script each; those of the peers run under the peers' own interpreter and import nothing of favsync."""
