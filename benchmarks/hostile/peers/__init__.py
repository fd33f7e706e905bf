"""Scripts that run in an environment of their own, one for each tool. They import nothing of favsync."""
