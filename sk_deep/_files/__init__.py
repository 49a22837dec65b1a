"""Files: atomic writes, and trees of plain values in safetensors."""
