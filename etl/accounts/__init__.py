"""Accounts and their tokens. Importing the package imports nothing.

For others: `session.connect` and `http_options`, `manage` (add, list, change, check, disable), `login.sign_in`,
`token_input.read_token`, `credentials`, `token_rows` for the state of tokens, and `encryption.TokenCipher`.
"""
