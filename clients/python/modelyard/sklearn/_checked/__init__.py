"""Models that stay inside their arrays.

scikit-learn's compiled code follows indices and widths without looking at bounds, and some
parameters name files or functions. A model is loaded without `allow_pickle` only if every object in
it has an entry here, and everything it holds is what its entry describes.
"""

from modelyard.sklearn._checked._check import refuse_unchecked as refuse_unchecked
from modelyard.sklearn._checked._check import why_unchecked as why_unchecked
