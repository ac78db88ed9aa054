"""One module a part; each has TITLE and run(bench)."""
