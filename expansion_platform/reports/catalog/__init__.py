"""An account beside its catalog: the first file, and what of one does not fit."""
