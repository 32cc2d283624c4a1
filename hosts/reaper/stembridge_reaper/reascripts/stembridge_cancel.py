# @description Cancel jobs
# @version 0.1.0
# @author The stembridge authors
# @about Cancels what stembridge is doing, at the service too.
"""Cancel every run that is at work."""

from stembridge_scripts import actions

actions.cancel_jobs()
