"""How the service is, for people and machines that watch it. Sole owner of prometheus-client. Imports nothing.

`status` tells how fresh each account is, `doctor` what is wrong and what to do, `metrics` both as numbers; `web` serves them and
`ping` tells a dead man's switch.
"""
