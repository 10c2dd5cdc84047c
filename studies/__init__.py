"""Claims of the literature, each checked with this package's own tools: a file each in ``papers``.

``hwgen reproduce`` runs them; ``registry`` finds them, ``study`` says what one is.
"""

from hwgen.installed import require_own_packages

require_own_packages(__name__)
