"""What every job needs and no stage owns: errors, atomic files, markers, locks, workers, progress, records.

Standard library only: this room is imported before anything else is known to be installed or chosen.
"""
