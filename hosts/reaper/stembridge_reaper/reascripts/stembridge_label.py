# @description Label selected items' files
# @version 0.1.0
# @author The stembridge authors
# @about Writes mood, genre and the like into the tags of the selected items' files.
"""Label the files of the selected items."""

from stembridge_scripts import actions

actions.label_files()
