"""From a trained network to a format for every layer."""

from hwgen.installed import require_own_packages

require_own_packages(__name__)
