"""Results as files of the field's formats and of other programs."""
