# @description Separate selected items (choose preset...)
# @version 0.1.0
# @author The stembridge authors
# @about Splits the files of the selected items into stems, on tracks below their own.
"""Ask for a preset and separate the selected items."""

from stembridge_scripts import actions

actions.separate_choosing()
