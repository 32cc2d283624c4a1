-- @description Insert finished stems
-- @version 0.1.0
-- @author The stembridge authors
-- @about Inserts stems that were finished while their project was closed, and goes on after a crash.
local folder = select(2, reaper.get_action_context()):match("^(.*[/\\])")
assert(loadfile(folder .. "stembridge_scripts/launcher.lua"))(folder).insert_finished()
