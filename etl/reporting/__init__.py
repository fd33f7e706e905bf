"""What people read: the views, and how their rows are shown."""
