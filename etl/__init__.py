"""favsync: a Boomplay user's favourite tracks in a relational database, with their history and its proofs.

The house, from the door inwards (each may know only what stands to its right):
``cli > scheduler | sandbox > sync > boomplay | store | reporting > config | logs | clock > core > errors``.
"""

__version__ = "0.1.0"
