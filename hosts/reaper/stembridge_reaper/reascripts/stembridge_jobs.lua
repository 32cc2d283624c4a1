-- @description Show jobs
-- @version 0.1.0
-- @author The stembridge authors
-- @about Lists what stembridge is doing in the console.
local folder = select(2, reaper.get_action_context()):match("^(.*[/\\])")
assert(loadfile(folder .. "stembridge_scripts/launcher.lua"))(folder).show_jobs()
