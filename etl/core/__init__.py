"""The pure core: records, the walk's judge, the normaliser, history. No I/O, no clock, no randomness, no logging."""
