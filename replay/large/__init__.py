"""Tables too large to be held in memory: DuckDB reads, aligns and sieves, the rules of `replay.compare` judge.

DuckDB decides only which cells cannot differ (equal hashes of equal types) and which row belongs to which; every
cell that may differ is judged by the same rules as in a small table, so that there is one meaning of a difference.
"""
