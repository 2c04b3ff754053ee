"""Readers of the field's files: each checks what it is given and says what is wrong, with the place."""
