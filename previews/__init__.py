"""The plugin that decides which pull requests become environments, and what runs in them."""
