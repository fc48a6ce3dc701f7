"""Reports of results: one page with tables and pictures, as HTML, Markdown and JSON."""
