"""Run the blocks of a page with what is installed: python smoke.py PAGE."""

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

if __name__ == "__main__":
    namespace = {"__name__": "__main__"}
    for block in BLOCK.findall(Path(sys.argv[1]).read_text(encoding="utf-8")):
        exec(block, namespace)
    import sk_deep

    sys.stdout.write(f"sk_deep {sk_deep.__version__} of {sk_deep.__path__[0]} runs\n")
