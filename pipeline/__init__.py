import os

# Arrow's own allocator, mimalloc 3, can end a process that has many threads (apache/arrow 50908); the system's cannot.
# It is chosen when Arrow is loaded.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
