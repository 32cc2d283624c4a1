# @description Show jobs
# @version 0.1.0
# @author The stembridge authors
# @about Lists what stembridge is doing in the console.
"""List the runs in the console."""

from stembridge_scripts import actions

actions.show_jobs()
