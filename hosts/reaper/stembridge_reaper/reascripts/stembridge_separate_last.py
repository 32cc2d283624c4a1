# @description Separate selected items (last preset)
# @version 0.1.0
# @author The stembridge authors
# @about Splits the files of the selected items into stems by the preset that was used last.
"""Separate the selected items by the last preset."""

from stembridge_scripts import actions

actions.separate_again()
