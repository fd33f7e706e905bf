"""What each tool runs, one script each; those of the peers run under the peers' own interpreter."""
