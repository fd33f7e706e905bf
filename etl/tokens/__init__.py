"""An account's token: where it is kept, what is known of it, and how it is renewed. Imports nothing.

`states` judges (pure), `keeping` reads and writes, `sources` gives a client its token. Not here: asking the service
(`etl.boomplay`), encryption itself (`etl.crypto`), the commands (`etl.accounts`).
"""
