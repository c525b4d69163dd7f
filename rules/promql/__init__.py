"""PromQL, compiled to vector operations over a fleet.

`parse` turns text into promql_parser's tree, with what that parser lacks made up for; `compiler` turns the tree into
nodes, equal subexpressions into the same node; a node evaluates to a `Vec` over a `Frame`: the label sets that may be
there, with all index work (groups, joins) kept and extended as series join.
"""

from rules.promql.query import Query
from rules.promql.vector import Vector

__all__ = ["Query", "Vector"]
