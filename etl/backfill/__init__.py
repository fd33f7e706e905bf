"""Backfill: the past as observations, from files and from a resumable reading of the whole list.

From the caller inwards::

    live       a full reading that can be broken off and taken up again
    importing  files become runs of an account, in one transaction
    sources    which files a path names          dating    what time a name tells
    grouping   files become lists with a time    formats   what a file holds
"""
