-- @description Cancel jobs
-- @version 0.1.0
-- @author The stembridge authors
-- @about Cancels what stembridge is doing, at the service too.
local folder = select(2, reaper.get_action_context()):match("^(.*[/\\])")
assert(loadfile(folder .. "stembridge_scripts/launcher.lua"))(folder).cancel_jobs()
