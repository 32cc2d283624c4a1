# @description Insert finished stems
# @version 0.1.0
# @author The stembridge authors
# @about Inserts stems that were finished while their project was closed, and goes on after a crash.
"""Insert the finished stems of the active project."""

from stembridge_scripts import actions

actions.insert_finished()
