"""The HTML page that shows what a store holds."""
