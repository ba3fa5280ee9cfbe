import os
import sys

# Arrow's own allocator, mimalloc 3, can end a process that has many threads (apache/arrow 50908); the system's cannot.
# It is chosen when Arrow is loaded.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

# transformers' Trainer imports comet_ml wherever it is installed, and with it Streamlit and matplotlib: seconds of
# every process that trains, and patches of other libraries. Tracking runs it in a process that imports none of this.
sys.modules.setdefault("comet_ml", None)  # type: ignore[arg-type]
